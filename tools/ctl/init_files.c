/* SPDX-License-Identifier: Apache-2.0
 * The configuration files of a new cluster. All paths in them are relative to their folder.
 */
#include "tools/ctl/init.h"

void init_address(char *out, size_t cap, const char *host, uint16_t port)
{
    bool v6 = strchr(host, ':') != NULL;
    snprintf(out, cap, "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

static void put_hex(FILE *f, const char *key, const struct proto_hash *h)
{
    char text[PROTO_HASH_TEXT];
    struct proto_text t = proto_text_over(text, sizeof text);
    proto_text_hex(&t, h->b, sizeof h->b);
    fprintf(f, "%s = %s\n", key, text);
}

static void put_address(FILE *f, const char *key, const char *host, uint16_t port)
{
    char text[300];
    init_address(text, sizeof text, host, port);
    fprintf(f, "%s = %s\n", key, text);
}

void init_text_cluster(FILE *f, const struct init_plan *p)
{
    char uuid[PROTO_UUID_TEXT];
    proto_uuid_print(&p->cluster, uuid);
    fprintf(f,
            "; The cluster: the same file for every node, edge and tool. Holds no secret.\n"
            "[cluster]\n"
            "uuid = %s\n"
            "group = 0\n",
            uuid);
    put_hex(f, "seed", &p->seed);
    fprintf(f, "; SHA-256 of SHA-256 of the operator token\n");
    put_hex(f, "operator_hash", &p->operator_hash);
    for (unsigned i = 0; i < p->nodes; i++) {
        fprintf(f, "\n[node %u]\n", i + 1);
        put_address(f, "peer", p->node_host[i], p->peer_port[i]);
        put_address(f, "client", p->node_host[i], p->client_port[i]);
        fprintf(f,
                "peer_name = node-%u.peer.holdfast\n"
                "client_name = node-%u.ledger.holdfast\n",
                i + 1, i + 1);
    }
}

static void put_metrics(FILE *f)
{
    fprintf(f,
            "; figures for Prometheus, without a password: on loopback or a network of your own\n"
            ";metrics = 127.0.0.1:9464\n");
}

void init_text_node(FILE *f, const struct init_plan *p, unsigned i)
{
    fprintf(f,
            "; Ledger node %u.\n"
            "[node]\n"
            "id = %u\n"
            "cluster = cluster.conf\n"
            "data = %s/node-%u\n",
            i, i, p->data, i);
    put_metrics(f);
    fprintf(f,
            "\n"
            "[tls]\n"
            "; towards the other nodes\n"
            "peer_ca = certs/peer-ca.crt\n"
            "peer_cert = certs/node-%u.pem\n"
            "; towards edges and tools\n"
            "client_ca = certs/client-ca.crt\n"
            "client_cert = certs/node-%u-client.pem\n",
            i, i);
}

static void put_provider(FILE *f, const struct init_plan *p)
{
    fprintf(
        f,
        "\n"
        "; Where calls go. A provider's key is read from the environment (api_key_env) or from a\n"
        "; file (api_key_file), never from here.\n"
        "[provider %s]\n"
        "base_url = %s\n",
        p->provider, p->provider_url);
    if (p->provider_key_env)
        fprintf(f, "api_key_env = %s\n", p->provider_key_env);
    if (p->trust_cost)
        fprintf(f, "; its own cost field is what is charged, where it sends one\n"
                   "trust_cost = true\n");
    fprintf(f,
            "\n"
            "; Which provider serves which model; * takes every other one.\n"
            "[route *]\n"
            "provider = %s\n"
            "\n"
            "; More of both, as examples:\n"
            ";[provider local]\n"
            ";base_url = http://127.0.0.1:8000/v1\n"
            ";\n"
            ";[route small]\n"
            ";provider = local\n"
            ";upstream_model = qwen3-8b\n"
            ";price_model = qwen3-8b\n"
            ";max_output = 2048\n",
            p->provider);
}

void init_text_edge(FILE *f, const struct init_plan *p, unsigned i)
{
    fprintf(f, "; Edge %u: what API clients talk to.\n[edge]\n", i);
    put_address(f, "listen", p->edge_host, p->edge_port[i - 1]);
    fprintf(f, "workers = 1\n");
    put_metrics(f);
    fprintf(f, "\n");
    if (p->plain_http)
        fprintf(f,
                "; Plain HTTP, for trying things out only. With TLS:\n"
                ";[tls]\n"
                ";cert = certs/edge-%u-web.crt\n"
                ";key = certs/edge-%u-web.key\n",
                i, i);
    else
        fprintf(f,
                "[tls]\n"
                "cert = certs/edge-%u-web.crt\n"
                "key = certs/edge-%u-web.key\n",
                i, i);
    fprintf(f,
            "\n"
            "[ledger]\n"
            "cluster = cluster.conf\n"
            "ca = certs/client-ca.crt\n"
            "cert = certs/edge-%u.pem\n",
            i);
    put_provider(f, p);
}

void init_text_ctl(FILE *f, const struct init_plan *p)
{
    (void)p;
    fprintf(f, "; holdfastctl: how the ledger is reached, and as whom.\n"
               "[ledger]\n"
               "cluster = cluster.conf\n"
               "ca = certs/client-ca.crt\n"
               "cert = certs/ctl.pem\n"
               "\n"
               "[operator]\n"
               "token_file = operator.token\n");
}
