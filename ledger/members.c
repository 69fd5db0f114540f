/* SPDX-License-Identifier: Apache-2.0
 * Who is in the cluster.
 */
#include "ledger/node_state.h"

#include <stdio.h>

enum proto_code node_admit_change(struct node *n, const struct proto_command *command)
{
    (void)command;
    (void)snprintf(n->reason, sizeof n->reason, "membership changes are not possible yet");
    return PROTO_CLUSTER_NOT_READY;
}

void node_note_change(struct node *n, const struct proto_command *command)
{
    (void)n;
    (void)command;
}
