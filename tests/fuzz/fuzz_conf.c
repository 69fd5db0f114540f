/* SPDX-License-Identifier: Apache-2.0
 * Configuration files as anybody may write them. The first byte says whose: a node's, an edge's or
 * the cluster's. A file is taken, or refused with its own name and a cause.
 */
#include "edge/config.h"
#include "ledger/config.h"
#include "tests/fuzz/fuzz.h"

#include <unistd.h>

static char dir[64], file[128], beside[128];

static const char CLUSTER[] =
    "[cluster]\nuuid = 018f3c2e-7a10-7cc2-9a51-0a1b2c3d4e5f\n"
    "seed = 1111111111111111111111111111111111111111111111111111111111111111\n"
    "operator_hash = 2222222222222222222222222222222222222222222222222222222222222222\n"
    "[node 1]\npeer = 127.0.0.1:7401\nclient = 127.0.0.1:7402\n";

static void write_file(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    FUZZ_HOLDS(f && fwrite(p, 1, n, f) == n);
    FUZZ_HOLDS(fclose(f) == 0);
}

static void remove_all(void)
{
    (void)unlink(file);
    (void)unlink(beside);
    (void)rmdir(dir);
}

static void make_folder(void)
{
    (void)snprintf(dir, sizeof dir, "%s/holdfast-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_HOLDS(mkdtemp(dir));
    (void)snprintf(file, sizeof file, "%s/test.conf", dir);
    (void)snprintf(beside, sizeof beside, "%s/cluster.conf", dir);
    write_file(beside, CLUSTER, sizeof CLUSTER - 1);
    FUZZ_HOLDS(atexit(remove_all) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char error[BASE_CONF_ERROR] = "";
    int rv;
    if (n == 0)
        return 0;
    if (!dir[0])
        make_folder();
    write_file(file, data + 1, n - 1);
    if (data[0] % 3 == 0) {
        struct node_config c;
        rv = node_config_load(&c, file, error);
        node_config_close(&c);
    } else if (data[0] % 3 == 1) {
        struct edge_config *c = NULL;
        rv = edge_config_load(&c, file, error);
        if (rv == 0)
            edge_config_free(c);
    } else {
        struct cluster_conf c;
        rv = cluster_conf_load(&c, file, error);
    }
    FUZZ_HOLDS(rv <= 0 && (rv == 0 || error[0]));
    return 0;
}
