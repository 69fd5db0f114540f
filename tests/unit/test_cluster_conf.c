/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/link/cluster_conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define IDENTITY                                                                                   \
    "[cluster]\nuuid = 018f3c2e-7a10-7cc2-9a51-0a1b2c3d4e5f\n"                                     \
    "seed = 1111111111111111111111111111111111111111111111111111111111111111\n"                    \
    "operator_hash = 2222222222222222222222222222222222222222222222222222222222222222\n"
#define NODE(n, port) "[node " #n "]\npeer = 127.0.0.1:1" #port "\nclient = 127.0.0.1:2" #port "\n"

static char path[64];

static void put(const char *text)
{
    (void)snprintf(path, sizeof path, "/tmp/holdfast-cluster-conf-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int load(const char *text, struct cluster_conf *c, char error[BASE_CONF_ERROR])
{
    put(text);
    error[0] = '\0';
    int rv = cluster_conf_load(c, path, error);
    (void)unlink(path);
    return rv;
}

static void F43_three_nodes_are_read_in_order(void **state)
{
    (void)state;
    struct cluster_conf c;
    char error[BASE_CONF_ERROR];
    assert_int_equal(
        load(IDENTITY NODE(3, 03) NODE(1, 01) NODE(2, 02) "client_name = two.example\n", &c, error),
        0);
    assert_int_equal(c.n_nodes, 3);
    assert_int_equal(c.nodes[0].id, 1);
    assert_int_equal(c.nodes[2].id, 3);
    assert_string_equal(c.nodes[0].peer, "127.0.0.1:101");
    assert_string_equal(c.nodes[0].peer_name, "node-1.peer.holdfast");
    assert_string_equal(c.nodes[0].client_name, "node-1.ledger.holdfast");
    assert_string_equal(cluster_conf_node(&c, 2)->client_name, "two.example");
    assert_null(cluster_conf_node(&c, 4));
    assert_int_equal(c.seed.b[31], 0x11);
}

static void refused(const char *text, const char *words)
{
    struct cluster_conf c;
    char error[BASE_CONF_ERROR];
    assert_int_equal(load(text, &c, error), -EINVAL);
    if (!strstr(error, words))
        fail_msg("\"%s\" does not say \"%s\"", error, words);
}

static void F43_a_bad_cluster_conf_names_file_and_key(void **state)
{
    (void)state;
    refused(IDENTITY, "node");
    refused(NODE(1, 01), "uuid");
    refused(IDENTITY NODE(1, 01) "port = 4\n", "port");
    refused(IDENTITY "[node 0]\npeer = 127.0.0.1:1\nclient = 127.0.0.1:2\n", "number");
    refused(IDENTITY "[node 1]\npeer = 127.0.0.1\nclient = 127.0.0.1:2\n", "peer");
    refused(IDENTITY "[node 1]\npeer = 127.0.0.1:1\n", "client");
}

static void F32_ledger_section_fills_a_client_configuration(void **state)
{
    (void)state;
    char text[256], cluster[64], error[BASE_CONF_ERROR];
    struct ledger_conf l;
    struct base_conf *f;
    struct link_config link = {0};
    put(IDENTITY NODE(1, 01));
    memcpy(cluster, path, sizeof cluster);
    (void)snprintf(text, sizeof text, "[ledger]\ncluster = %s\nca = ca.crt\ncert = edge.pem\n",
                   cluster);
    put(text);
    assert_int_equal(base_conf_load(&f, path, error), 0);
    assert_int_equal(ledger_conf_read(&l, f, error), 0);
    assert_int_equal(base_conf_done(f, error), 0);
    ledger_conf_link(&l, &link);
    assert_int_equal(link.n_nodes, 1);
    assert_string_equal(link.nodes[0].address, "127.0.0.1:201");
    assert_string_equal(link.nodes[0].server_name, "node-1.ledger.holdfast");
    assert_string_equal(link.ca_file, "/tmp/ca.crt");
    ledger_conf_close(&l);
    base_conf_free(f);
    (void)unlink(path);
    (void)unlink(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F43_three_nodes_are_read_in_order),
        cmocka_unit_test(F43_a_bad_cluster_conf_names_file_and_key),
        cmocka_unit_test(F32_ledger_section_fills_a_client_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
