/* SPDX-License-Identifier: Apache-2.0
 * The last call as it arrived, shown at /mock/last: what an edge added, removed or changed on the
 * way. Only with --keep-last; one record for all workers, under a mutex.
 */
#include "edge/http/request.h"
#include "tools/mock/mock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char *text; /* JSON */
static size_t text_len;

void mock_last_keep(struct edge_http_request *req)
{
    size_t len;
    const char *body = edge_http_request_body(req, &len);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return;
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *headers = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "path", edge_http_request_path(req));
    for (size_t i = 0; i < edge_http_request_header_count(req); i++) {
        const char *name, *value;
        edge_http_request_header_at(req, i, &name, &value);
        yyjson_mut_obj_add_str(doc, headers, name, value);
    }
    yyjson_mut_obj_add_val(doc, root, "headers", headers);
    yyjson_mut_obj_add_strn(doc, root, "body", body, len);
    size_t shown_len = 0;
    char *shown = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, &shown_len);
    yyjson_mut_doc_free(doc);
    if (!shown)
        return;
    pthread_mutex_lock(&mutex);
    free(text);
    text = shown;
    text_len = shown_len;
    pthread_mutex_unlock(&mutex);
}

int mock_last_show(struct base_buf *out)
{
    pthread_mutex_lock(&mutex);
    int rv = text ? base_buf_add(out, text, text_len) : mock_printf(out, "null");
    pthread_mutex_unlock(&mutex);
    return rv;
}
