/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define CLUSTER                                                                                    \
    "[cluster]\nuuid = 018f3c2e-7a10-7cc2-9a51-0a1b2c3d4e5f\n"                                     \
    "seed = 1111111111111111111111111111111111111111111111111111111111111111\n"                    \
    "operator_hash = 2222222222222222222222222222222222222222222222222222222222222222\n"           \
    "[node 1]\npeer = 127.0.0.1:7401\nclient = 127.0.0.1:7402\n"
#define NODE "[node]\nid = 1\ncluster = cluster.conf\ndata = data\n"
#define TLS "[tls]\npeer_ca = pca\npeer_cert = pc\nclient_ca = cca\nclient_cert = cc\n"

static char dir[64];

static void put(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int load(const char *text, struct node_config *c, char error[BASE_CONF_ERROR])
{
    char path[128];
    put("node-1.conf", text);
    (void)snprintf(path, sizeof path, "%s/node-1.conf", dir);
    return node_config_load(c, path, error);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/holdfast-node-config-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    put("cluster.conf", CLUSTER);
    return 0;
}

static int teardown(void **state)
{
    char path[128];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/cluster.conf", dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/node-1.conf", dir);
    (void)unlink(path);
    return rmdir(dir);
}

static void F43_a_nodes_configuration_is_read_with_its_clusters(void **state)
{
    (void)state;
    struct node_config c;
    char error[BASE_CONF_ERROR], path[128];
    assert_int_equal(load(NODE "client_listen = 0.0.0.0:7402\nmetrics = [::1]:0\n" TLS
                               "[limits]\nin_flight = 16\n",
                          &c, error),
                     0);
    (void)snprintf(path, sizeof path, "%s/data", dir);
    assert_string_equal(c.data, path);
    assert_string_equal(c.peer_listen, "127.0.0.1:7401");
    assert_string_equal(c.client_listen, "0.0.0.0:7402");
    assert_string_equal(c.metrics_host, "::1");
    assert_int_equal(c.self->id, 1);
    assert_int_equal(c.election_timeout_ms, 500);
    assert_int_equal(c.heartbeat_ms, 100);
    assert_int_equal(c.in_flight, 16);
    node_config_close(&c);
}

static void refused(const char *text, const char *words)
{
    struct node_config c;
    char error[BASE_CONF_ERROR] = "";
    assert_int_equal(load(text, &c, error), -EINVAL);
    node_config_close(&c);
    if (!strstr(error, words))
        fail_msg("\"%s\" does not say \"%s\"", error, words);
}

static void F43_what_is_wrong_with_it_is_named(void **state)
{
    (void)state;
    refused(TLS, "id");
    refused(NODE, "peer_ca");
    refused("[node]\nid = 2\ncluster = cluster.conf\ndata = data\n" TLS, "node-1.conf:2");
    refused(NODE "metrics = everywhere\n" TLS, "metrics");
    refused(NODE TLS "[raft]\nheartbeat_ms = 400\n", "election_timeout_ms");
    refused(NODE TLS "[limits]\nin_flite = 16\n", "in_flite");
    refused(NODE TLS "[limits]\nin_flight = many\n", "in_flight");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(F43_a_nodes_configuration_is_read_with_its_clusters, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(F43_what_is_wrong_with_it_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
