/* SPDX-License-Identifier: Apache-2.0
 * holdfastctl uuid: a new UUIDv7, for --id and --uuid.
 */
#include "tools/ctl/ctl.h"

#include <stdio.h>

static int uuid(struct ctl *c, const struct ctl_args *a)
{
    struct proto_uuid u;
    char text[PROTO_UUID_TEXT];
    (void)a;
    link_uuid7(&u);
    if (c->json) {
        out_uuid(c, c->out, "uuid", &u);
    } else { /* bare, so that --id $(holdfastctl uuid) works */
        proto_uuid_print(&u, text);
        puts(text);
    }
    return CTL_OK;
}

static const struct ctl_action actions[] = {
    {NULL, "Prints a new UUIDv7, for --id and --uuid.", NULL, NULL, NULL, NULL, uuid, NULL}, {0}};
const struct ctl_noun ctl_noun_uuid = {"uuid", "a new UUIDv7", actions};
