/* SPDX-License-Identifier: Apache-2.0
 * Which certificates a Holdfast cluster has, and in which files. Called by holdfastctl's `certs`
 * and `init`. The ledger's two listeners trust one CA each, and that is what tells roles apart:
 *
 *   peer-ca.crt/.key        signs ledger nodes, for the port nodes talk to each other on
 *     node-N.pem            certificate and key, both ends: node-N.peer.holdfast
 *   client-ca.crt/.key      signs everything on the ledger's client port
 *     node-N-client.pem     the ledger's end: node-N.ledger.holdfast
 *     edge-N.pem            an edge's end: edge-N.edge.holdfast
 *     ctl.pem               an operator's end: ctl.ctl.holdfast
 *   web-ca.crt/.key         signs what API clients see; replace it by a public one as you like
 *     edge-N-web.crt/.key   localhost, 127.0.0.1, ::1 and the hosts given
 *
 * A .pem holds the certificate and then its key, as proto/net reads them. Keys and .pem files are 0600.
 * A CA's .key is needed only to issue more: keep it off the machines that serve.
 */
#ifndef HOLDFAST_CERTS_LAYOUT_H
#define HOLDFAST_CERTS_LAYOUT_H

#include "tools/certs/certs.h"

#include <stdbool.h>

#define CERTS_NODES_MAX 9
#define CERTS_EDGES_MAX 64
#define CERTS_FILE_MAX (CERTS_NAME_MAX + 16)
#define CERTS_FILES_MAX (6 + 2 * CERTS_NODES_MAX + 3 * CERTS_EDGES_MAX + 1)
#define CERTS_DAYS_DEFAULT 825

enum certs_kind { CERTS_KIND_NODE, CERTS_KIND_EDGE, CERTS_KIND_CTL, CERTS_KIND_WEB };

struct certs_options {
    const char *dir;
    const char *const *hosts; /* of the web certificates, beside localhost */
    size_t n_hosts;
    int days;   /* of certificates; CAs have CERTS_CA_DAYS */
    bool force; /* replace files that exist */
};

/* The files written, as names inside dir, in the order of their writing. */
struct certs_files {
    char name[CERTS_FILES_MAX][CERTS_FILE_MAX];
    size_t n;
};

/* Makes the folder, three CAs and everything for nodes (1..CERTS_NODES_MAX) and edges
 * (0..CERTS_EDGES_MAX). Nothing is written if one of the files exists and force is not set; files
 * written before a failure are removed again, unless they replaced others. */
int certs_layout_init(const struct certs_options *options, int nodes, int edges,
                      struct certs_files *files, struct certs_error *error)
    __attribute__((warn_unused_result));

/* One more certificate (for CERTS_KIND_NODE both of a node's) from the CAs in the folder. */
int certs_layout_issue(const struct certs_options *options, enum certs_kind kind, const char *name,
                       struct certs_files *files, struct certs_error *error)
    __attribute__((warn_unused_result));

/* The kind called name ("node", "edge", "ctl", "web"); -EINVAL if there is none. */
int certs_kind_parse(const char *name, enum certs_kind *kind) __attribute__((warn_unused_result));

#endif
