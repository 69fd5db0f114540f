/* SPDX-License-Identifier: Apache-2.0
 * spoil-state DIR: makes the checkpoint of a stopped node lie: one nano-dollar more for every
 * organisation. The database stays sound, so only the chain can tell.
 */
#include "ledger/core/record.h"

#include <lmdb.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_MAX = CORE_VALUE_MAX };

static int spoil(MDB_txn *txn, unsigned *n)
{
    MDB_dbi dbi;
    MDB_cursor *c;
    MDB_val key, value;
    int rv = mdb_dbi_open(txn, "records", 0, &dbi);
    if (rv == 0)
        rv = mdb_cursor_open(txn, dbi, &c);
    if (rv != 0)
        return rv;
    while ((rv = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0) {
        struct core_org org;
        if (((const uint8_t *)key.mv_data)[0] != CORE_TABLE_org || value.mv_size != sizeof org)
            continue;
        memcpy(&org, value.mv_data, sizeof org);
        org.account[0]++;
        MDB_val next = {sizeof org, &org};
        rv = mdb_cursor_put(c, &key, &next, MDB_CURRENT);
        if (rv != 0)
            break;
        ++*n;
    }
    mdb_cursor_close(c);
    return rv == MDB_NOTFOUND ? 0 : rv;
}

int main(int argc, char **argv)
{
    char path[4096];
    MDB_env *env = NULL;
    MDB_txn *txn;
    unsigned n = 0;
    if (argc != 2)
        return 2;
    (void)snprintf(path, sizeof path, "%s/state", argv[1]);
    int rv = mdb_env_create(&env);
    if (rv == 0)
        rv = mdb_env_set_maxdbs(env, 4);
    if (rv == 0)
        rv = mdb_env_set_mapsize(env, (size_t)1 << 30);
    if (rv == 0)
        rv = mdb_env_open(env, path, 0, 0600);
    if (rv == 0)
        rv = mdb_txn_begin(env, NULL, 0, &txn);
    if (rv == 0)
        rv = spoil(txn, &n);
    if (rv == 0)
        rv = mdb_txn_commit(txn);
    printf("%u organisations: %s\n", n, mdb_strerror(rv));
    if (env)
        mdb_env_close(env);
    return rv == 0 && n > 0 ? 0 : 1;
}
