/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/serve/port.h"

#include "ledger/serve/reply.h"
#include "proto/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct serve_port {
    struct serve_config config;
    struct net_service *service;
};

static struct net_frame *refusal_reply(const struct serve_refusal *refusal)
{
    const struct proto_reply_head head = {.status = (uint8_t)refusal->status,
                                          .detail = proto_str_of(refusal->detail)};
    return serve_reply(&head);
}

static void on_frame(void *ctx, struct net_frame *f)
{
    static const struct serve_refusal stopping = {.status = PROTO_REPLY_unavailable,
                                                  .detail = "the node is stopping"};
    struct serve_port *p = ctx;
    struct serve_refusal refusal;
    struct serve_request *r = serve_request_open(f, &p->config.cluster, p->config.group, &refusal);
    if (!r) {
        base_log_seldom(BASE_LOG_WARN, "request refused", refusal.detail,
                        BASE_S("peer", net_service_peer(f)), NULL);
        net_service_answer(f, refusal_reply(&refusal));
    } else if (!p->config.on_request(p->config.ctx, r)) {
        serve_port_answer(r, refusal_reply(&stopping));
    }
}

void serve_port_answer(struct serve_request *r, struct net_frame *reply)
{
    struct net_frame *request = r->frame;
    r->frame = NULL;
    serve_request_free(r);
    net_service_answer(request, reply);
}

int serve_port_open(struct serve_port **out, struct net_thread *thread,
                    const struct serve_config *config, char error[256])
{
    struct serve_port *p = calloc(1, sizeof *p);
    if (!p) {
        (void)snprintf(error, 256, "out of memory");
        return -ENOMEM;
    }
    p->config = *config;
    const struct net_service_config service = {.address = config->address,
                                               .tls = config->tls,
                                               .frame_max = PROTO_FRAME_MAX,
                                               .queue_max = SERVE_QUEUE_BYTES,
                                               .conns_max = config->conns_max ? config->conns_max
                                                                              : SERVE_CONNS_MAX,
                                               .in_flight = config->in_flight,
                                               .ctx = p,
                                               .on_request = on_frame};
    int rv = net_service_open(&p->service, thread, &service, error);
    if (rv != 0) {
        free(p);
        return rv;
    }
    *out = p;
    return 0;
}

void serve_port_free(struct serve_port *p)
{
    if (!p)
        return;
    net_service_free(p->service);
    free(p);
}
