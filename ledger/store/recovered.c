/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/entry.h"

#include <stdlib.h>

void log_recovered_close(struct log_recovered *r)
{
    term_runs_close(&r->runs);
    free(r->confs);
    r->confs = NULL;
    r->n_confs = 0;
}
