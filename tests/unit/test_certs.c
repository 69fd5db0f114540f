/* SPDX-License-Identifier: Apache-2.0
 * Certificates as `holdfastctl certs` makes them: files and their modes, chains and roles as
 * mbedTLS judges them, keys as BearSSL reads them (test_net.c shakes hands).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/certs/layout.h"
#include "tools/certs/san.h"
#include "tools/certs/store.h"
#include "tools/ctl/cmd_certs.h"

#include <bearssl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEADLINE_MS 10000

static char dir[64]; /* the cluster every test reads: 3 nodes, 2 edges, --host api.example.test */

static char *path_in(const char *folder, const char *name)
{
    static char paths[4][CERTS_PATH_MAX]; /* a few at a time */
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void remove_folder(const char *folder)
{
    DIR *handle = opendir(folder);
    struct dirent *entry;
    while (handle != NULL && (entry = readdir(handle)) != NULL)
        (void)unlink(path_in(folder, entry->d_name));
    if (handle != NULL)
        closedir(handle);
    (void)rmdir(folder);
}

static void make_folder(char *folder, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, size, "%s/hf-certs-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
}

static int group_setup(void **state)
{
    static const char *const hosts[] = {"api.example.test", "10.1.2.3", "*.edge.example.test"};
    static struct certs_files files;
    struct certs_error error;
    struct certs_options options = {.dir = dir, .hosts = hosts, .n_hosts = 3, .days = 825};
    (void)state;
    make_folder(dir, sizeof dir);
    return certs_layout_init(&options, 3, 2, &files, &error);
}

static int group_teardown(void **state)
{
    (void)state;
    remove_folder(dir);
    return 0;
}

static void read_cert(mbedtls_x509_crt *cert, const char *name)
{
    mbedtls_x509_crt_init(cert);
    assert_int_equal(mbedtls_x509_crt_parse_file(cert, path_in(dir, name)), 0);
}

/* Verification flags of a certificate against a CA, for a host name or NULL. */
static uint32_t verify(const char *name, const char *ca_name, const char *host)
{
    mbedtls_x509_crt cert;
    mbedtls_x509_crt ca;
    uint32_t flags = 0;
    read_cert(&cert, name);
    read_cert(&ca, ca_name);
    (void)mbedtls_x509_crt_verify(&cert, &ca, NULL, host, &flags, NULL, NULL);
    mbedtls_x509_crt_free(&cert);
    mbedtls_x509_crt_free(&ca);
    return flags;
}

static void F32_certs_chain_to_their_ca_and_no_other(void **state)
{
    (void)state;
    assert_int_equal(verify("node-1.pem", "peer-ca.crt", "node-1.peer.holdfast"), 0);
    assert_int_equal(verify("node-3.pem", "peer-ca.crt", "node-3.peer.holdfast"), 0);
    assert_int_equal(verify("node-2-client.pem", "client-ca.crt", "node-2.ledger.holdfast"), 0);
    assert_int_equal(verify("edge-2.pem", "client-ca.crt", NULL), 0);
    assert_int_equal(verify("ctl.pem", "client-ca.crt", NULL), 0);
    assert_int_equal(verify("edge-1-web.crt", "web-ca.crt", "localhost"), 0);
    assert_int_not_equal(verify("node-1.pem", "client-ca.crt", NULL), 0);
    assert_int_not_equal(verify("edge-1.pem", "peer-ca.crt", NULL), 0);
    assert_int_not_equal(verify("ctl.pem", "web-ca.crt", NULL), 0);
}

static void F32_certs_name_only_their_hosts(void **state)
{
    (void)state;
    assert_int_not_equal(verify("node-1.pem", "peer-ca.crt", "node-2.peer.holdfast"), 0);
    assert_int_equal(verify("edge-1-web.crt", "web-ca.crt", "api.example.test"), 0);
    assert_int_equal(verify("edge-1-web.crt", "web-ca.crt", "eu.edge.example.test"), 0);
    assert_int_not_equal(verify("edge-1-web.crt", "web-ca.crt", "example.test"), 0);
}

static void F32_certs_carry_ip_addresses(void **state)
{
    static const unsigned char v4[] = {0x87, 4, 10, 1, 2, 3};
    static const unsigned char loopback[] = {0x87, 4, 127, 0, 0, 1};
    mbedtls_x509_crt cert;
    (void)state;
    read_cert(&cert, "edge-1-web.crt");
    assert_non_null(memmem(cert.v3_ext.p, cert.v3_ext.len, v4, sizeof v4));
    assert_non_null(memmem(cert.v3_ext.p, cert.v3_ext.len, loopback, sizeof loopback));
    mbedtls_x509_crt_free(&cert);
}

static int may(const char *name, const char *oid, size_t oid_len)
{
    mbedtls_x509_crt cert;
    int rc;
    read_cert(&cert, name);
    rc = mbedtls_x509_crt_check_extended_key_usage(&cert, oid, oid_len);
    mbedtls_x509_crt_free(&cert);
    return rc == 0;
}

#define SERVER MBEDTLS_OID_SERVER_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)
#define CLIENT MBEDTLS_OID_CLIENT_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH)

static void F32_an_edge_cannot_pose_as_a_ledger_node(void **state)
{
    (void)state;
    assert_true(may("node-1.pem", SERVER) && may("node-1.pem", CLIENT));
    assert_true(may("node-1-client.pem", SERVER) && !may("node-1-client.pem", CLIENT));
    assert_true(!may("edge-1.pem", SERVER) && may("edge-1.pem", CLIENT));
    assert_true(!may("ctl.pem", SERVER) && may("ctl.pem", CLIENT));
    assert_true(may("edge-1-web.crt", SERVER) && !may("edge-1-web.crt", CLIENT));
}

static void F32_keys_are_private_and_no_two_serials_equal(void **state)
{
    static const char *const secret[] = {"peer-ca.key", "client-ca.key",  "web-ca.key", "ctl.pem",
                                         "node-1.pem",  "edge-1-web.key", "edge-1.pem"};
    struct stat st;
    mbedtls_x509_crt one;
    mbedtls_x509_crt two;
    (void)state;
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
        assert_int_equal(stat(path_in(dir, secret[i]), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    assert_int_equal(stat(path_in(dir, "peer-ca.crt"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    read_cert(&one, "node-1.pem");
    read_cert(&two, "node-2.pem");
    assert_int_equal(one.serial.len, 16);
    assert_int_equal(two.serial.len, 16);
    assert_memory_not_equal(one.serial.p, two.serial.p, 16);
    mbedtls_x509_crt_free(&one);
    mbedtls_x509_crt_free(&two);
}

static void F32_existing_files_are_kept_without_force(void **state)
{
    static struct certs_files files;
    struct certs_error error;
    struct certs_options options = {.dir = dir, .days = 30};
    static char before[CERTS_PEM_MAX];
    static char after[CERTS_PEM_MAX];
    (void)state;
    assert_int_equal(certs_store_read(dir, "peer-ca.crt", before, sizeof before, &error), 0);
    assert_int_equal(certs_layout_init(&options, 3, 2, &files, &error), -EEXIST);
    assert_non_null(strstr(error.text, "peer-ca.crt exists"));
    assert_int_equal(files.n, 0);
    assert_int_equal(certs_layout_issue(&options, CERTS_KIND_NODE, "node-2", &files, &error),
                     -EEXIST);
    assert_int_equal(certs_store_read(dir, "peer-ca.crt", after, sizeof after, &error), 0);
    assert_string_equal(before, after);
}

static void F32_one_more_certificate_joins_later(void **state)
{
    static struct certs_files files;
    struct certs_error error;
    struct certs_options options = {.dir = dir, .days = 30};
    (void)state;
    assert_int_equal(certs_layout_issue(&options, CERTS_KIND_NODE, "node-4", &files, &error), 0);
    assert_int_equal(files.n, 2);
    assert_string_equal(files.name[0], "node-4.pem");
    assert_string_equal(files.name[1], "node-4-client.pem");
    assert_int_equal(verify("node-4.pem", "peer-ca.crt", "node-4.peer.holdfast"), 0);
    assert_int_equal(verify("node-4-client.pem", "client-ca.crt", "node-4.ledger.holdfast"), 0);
    options.force = true;
    assert_int_equal(certs_layout_issue(&options, CERTS_KIND_NODE, "node-4", &files, &error), 0);
    assert_int_equal(verify("node-4.pem", "peer-ca.crt", "node-4.peer.holdfast"), 0);
}

static void F32_bad_requests_name_their_cause(void **state)
{
    static const char *const bad_hosts[] = {"",         "a b",   "-x.test", "x-.test",
                                            "a..b",     "1.2.3", "*",       "300.1.1.1",
                                            "a.*.test", "x\n",   "a_b.test"};
    static const char *const bad_names[] = {"", "../x", "a/b", "-a", ".a", "a b", "a,CN=b"};
    static struct certs_files files;
    static struct certs_san san;
    struct certs_error error;
    struct certs_options options = {.dir = dir, .days = 30};
    (void)state;
    for (size_t i = 0; i < sizeof bad_hosts / sizeof bad_hosts[0]; i++) {
        assert_int_equal(certs_san_encode(&bad_hosts[i], 1, &san, &error), -EINVAL);
        assert_non_null(strstr(error.text, "neither a DNS name nor an IP address"));
    }
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++)
        assert_int_equal(
            certs_layout_issue(&options, CERTS_KIND_EDGE, bad_names[i], &files, &error), -EINVAL);
    options.days = CERTS_DAYS_MAX + 1;
    assert_int_equal(certs_layout_issue(&options, CERTS_KIND_CTL, "late", &files, &error), -EINVAL);
    assert_non_null(strstr(error.text, "1 to 3650 days"));
    options.days = 0;
    assert_int_equal(certs_layout_issue(&options, CERTS_KIND_CTL, "late", &files, &error), -EINVAL);
    options = (struct certs_options){.dir = "/nonexistent/certs", .days = 30};
    assert_int_equal(certs_layout_init(&options, 3, 2, &files, &error), -ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/certs: No such file"));
    assert_int_equal(certs_layout_init(&options, 0, 2, &files, &error), -EINVAL);
    assert_int_equal(certs_layout_init(&options, 3, 65, &files, &error), -EINVAL);
}

static void F32_a_damaged_ca_is_refused(void **state)
{
    char folder[64];
    static struct certs_files files;
    struct certs_error error;
    struct certs_options options = {.dir = folder, .days = 30};
    static struct certs_pair ca;
    static struct certs_pair other;
    (void)state;
    make_folder(folder, sizeof folder);
    assert_int_equal(certs_layout_issue(&options, CERTS_KIND_EDGE, "edge-1", &files, &error),
                     -ENOENT);
    assert_non_null(strstr(error.text, "client-ca.crt"));

    assert_int_equal(certs_ca_make("one.test", &ca, &error), 0);
    assert_int_equal(certs_ca_make("two.test", &other, &error), 0);
    assert_int_equal(certs_store_write(folder, "client-ca.crt", ca.cert_pem, 0644, false, &error),
                     0);
    assert_int_equal(certs_store_write(folder, "client-ca.key", other.key_pem, 0600, false, &error),
                     0);
    assert_int_equal(certs_layout_issue(&options, CERTS_KIND_EDGE, "edge-1", &files, &error),
                     -EINVAL);
    assert_non_null(strstr(error.text, "of another certificate"));
    assert_int_equal(certs_store_write(folder, "client-ca.crt", "rubbish", 0644, true, &error), 0);
    assert_int_equal(certs_layout_issue(&options, CERTS_KIND_EDGE, "edge-1", &files, &error),
                     -EINVAL);
    assert_non_null(strstr(error.text, "certificate cannot be read"));
    certs_pair_close(&ca);
    certs_pair_close(&other);
    remove_folder(folder);
}

/* The edge's TLS is BearSSL: does it take the web key? */
static void push_key(void *decoder, const void *bytes, size_t len)
{
    br_skey_decoder_push(decoder, bytes, len);
}

static void F32_bearssl_reads_the_web_key(void **state)
{
    static char text[CERTS_PEM_MAX];
    br_pem_decoder_context pem;
    br_skey_decoder_context key;
    struct certs_error error;
    size_t done = 0;
    size_t len;
    int found = 0;
    (void)state;
    assert_int_equal(certs_store_read(dir, "edge-1-web.key", text, sizeof text, &error), 0);
    len = strlen(text);
    br_pem_decoder_init(&pem);
    br_skey_decoder_init(&key);
    while (done < len) {
        done += br_pem_decoder_push(&pem, text + done, len - done);
        switch (br_pem_decoder_event(&pem)) {
        case BR_PEM_BEGIN_OBJ:
            if (strcmp(br_pem_decoder_name(&pem), "EC PRIVATE KEY") == 0)
                br_pem_decoder_setdest(&pem, push_key, &key);
            break;
        case BR_PEM_END_OBJ:
            found = 1;
            break;
        default:
            break;
        }
    }
    assert_true(found);
    assert_int_equal(br_skey_decoder_last_error(&key), 0);
    assert_int_equal(br_skey_decoder_key_type(&key), BR_KEYTYPE_EC);
    assert_int_equal(br_skey_decoder_get_ec(&key)->curve, BR_EC_secp256r1);
}

/* Runs the command with its output in a file; returns its exit status. */
static int run_ctl(char **argv, char *output, size_t size)
{
    int argc = 0;
    int status;
    int out;
    int err;
    ssize_t n;
    FILE *sink = tmpfile();
    assert_non_null(sink);
    while (argv[argc] != NULL)
        argc++;
    fflush(NULL);
    out = dup(STDOUT_FILENO);
    err = dup(STDERR_FILENO);
    assert_true(dup2(fileno(sink), STDOUT_FILENO) >= 0 && dup2(fileno(sink), STDERR_FILENO) >= 0);
    status = ctl_cmd_certs(argc, argv);
    fflush(NULL);
    assert_true(dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0);
    close(out);
    close(err);
    n = pread(fileno(sink), output, size - 1, 0);
    output[n > 0 ? n : 0] = '\0';
    fclose(sink);
    return status;
}

#define RUN(...) run_ctl((char *[]){"certs", __VA_ARGS__, NULL}, output, sizeof output)

static void F32_the_command_line_says_what_is_wrong(void **state)
{
    static char output[16384];
    (void)state;
    assert_int_equal(RUN("--help"), 0);
    assert_non_null(strstr(output, "--host NAME"));
    assert_int_equal(RUN("init"), 2);
    assert_non_null(strstr(output, "--out DIR is missing"));
    assert_int_equal(RUN("make"), 2);
    assert_non_null(strstr(output, "init, issue or show, not: make"));
    assert_int_equal(RUN("init", "--out", dir, "--nodes", "3x"), 2);
    assert_non_null(strstr(output, "--nodes: no number: 3x"));
    assert_int_equal(RUN("init", "--out", dir, "--bogus"), 2);
    assert_non_null(strstr(output, "unknown flag: --bogus"));
    assert_int_equal(RUN("init", "--out"), 2);
    assert_non_null(strstr(output, "a value is missing: --out"));
    assert_int_equal(RUN("init", "--out", dir, "stray"), 2);
    assert_int_equal(RUN("issue", "--out", dir, "--kind", "peer", "--name", "x"), 2);
    assert_int_equal(RUN("issue", "--out", dir, "--nodes", "3"), 2);
    assert_int_equal(RUN("init", "--out", dir), 2);
    assert_non_null(strstr(output, "exists: --force replaces it"));
}

static void F32_the_command_line_lists_files_as_json(void **state)
{
    static char output[16384];
    char folder[64];
    (void)state;
    make_folder(folder, sizeof folder);
    assert_int_equal(RUN("init", "--out", folder, "--nodes", "1", "--edges", "1", "--json"), 0);
    assert_non_null(strstr(output, "\"node-1-client.pem\""));
    assert_non_null(strstr(output, "\"edge-1-web.crt\""));
    assert_int_equal(
        RUN("issue", "--out", folder, "--kind", "web", "--name", "front", "--host", "api.test"), 0);
    assert_non_null(strstr(output, "/front-web.crt\n"));
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F32_certs_chain_to_their_ca_and_no_other),
        cmocka_unit_test(F32_certs_name_only_their_hosts),
        cmocka_unit_test(F32_certs_carry_ip_addresses),
        cmocka_unit_test(F32_an_edge_cannot_pose_as_a_ledger_node),
        cmocka_unit_test(F32_keys_are_private_and_no_two_serials_equal),
        cmocka_unit_test(F32_existing_files_are_kept_without_force),
        cmocka_unit_test(F32_one_more_certificate_joins_later),
        cmocka_unit_test(F32_bad_requests_name_their_cause),
        cmocka_unit_test(F32_a_damaged_ca_is_refused),
        cmocka_unit_test(F32_bearssl_reads_the_web_key),
        cmocka_unit_test(F32_the_command_line_says_what_is_wrong),
        cmocka_unit_test(F32_the_command_line_lists_files_as_json),
    };
    return cmocka_run_group_tests_name("certs", tests, group_setup, group_teardown);
}
