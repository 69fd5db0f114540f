/* SPDX-License-Identifier: Apache-2.0
 * PEM files by BearSSL's streaming decoder. Main thread, at start. File contents may be a private
 * key: buffers are wiped, and no byte of them goes into a message.
 */
#include "proto/net/pem.h"

#include "proto/base/buf.h"

#include <bearssl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sink {
    struct base_buf bytes;
    bool no_memory;
};

static void on_bytes(void *context, const void *p, size_t n)
{
    struct sink *sink = context;
    if (base_buf_add(&sink->bytes, p, n) != 0)
        sink->no_memory = true;
}

static void sink_close(struct sink *sink)
{
    if (sink->bytes.base)
        explicit_bzero(sink->bytes.base, sink->bytes.cap);
    base_buf_close(&sink->bytes);
}

static int object_add(struct pem_file *pem, const char *name, struct sink *sink)
{
    if (pem->count == PEM_OBJECTS_MAX)
        return -E2BIG;
    size_t len = base_buf_len(&sink->bytes);
    unsigned char *data = malloc(len ? len : 1);
    if (!data || sink->no_memory) {
        free(data);
        return -ENOMEM;
    }
    if (len)
        memcpy(data, base_buf_at(&sink->bytes), len);
    struct pem_object *object = &pem->objects[pem->count++];
    (void)snprintf(object->name, sizeof object->name, "%s", name);
    object->data = data;
    object->len = len;
    base_buf_clear(&sink->bytes);
    return 0;
}

static int decode(struct pem_file *pem, const char *text, size_t len)
{
    struct sink sink = {.no_memory = false};
    char name[PEM_NAME_MAX] = "";
    br_pem_decoder_context decoder;
    base_buf_init(&sink.bytes, PEM_FILE_BYTES_MAX);
    br_pem_decoder_init(&decoder);
    int rv = 0;
    bool inside = false;
    while (rv == 0 && len) {
        size_t used = br_pem_decoder_push(&decoder, text, len);
        text += used;
        len -= used;
        switch (br_pem_decoder_event(&decoder)) {
        case BR_PEM_BEGIN_OBJ:
            inside = true;
            (void)snprintf(name, sizeof name, "%.*s", PEM_NAME_MAX - 1,
                           br_pem_decoder_name(&decoder));
            br_pem_decoder_setdest(&decoder, on_bytes, &sink);
            break;
        case BR_PEM_END_OBJ:
            inside = false;
            rv = object_add(pem, name, &sink);
            break;
        case BR_PEM_ERROR:
            rv = -EBADMSG;
            break;
        default:
            break;
        }
    }
    if (rv == 0 && inside)
        rv = -EBADMSG;
    sink_close(&sink);
    return rv;
}

static int read_file(const char *file, char **text, size_t *len)
{
    FILE *in = fopen(file, "rbe");
    if (!in)
        return -errno;
    char *bytes = malloc(PEM_FILE_BYTES_MAX + 2);
    int rv = bytes ? 0 : -ENOMEM;
    errno = 0;
    size_t n = bytes ? fread(bytes, 1, PEM_FILE_BYTES_MAX + 1, in) : 0;
    if (rv == 0 && ferror(in))
        rv = errno ? -errno : -EIO;
    if (rv == 0 && n > PEM_FILE_BYTES_MAX)
        rv = -EFBIG;
    (void)fclose(in);
    if (rv) {
        free(bytes);
        return rv;
    }
    bytes[n] = '\n'; /* the decoder acts on whole lines: the last one may lack its end */
    *text = bytes;
    *len = n + 1;
    return 0;
}

int pem_file_load(struct pem_file *pem, const char *file, char *error, size_t cap)
{
    char *text = NULL;
    size_t len = 0;
    memset(pem, 0, sizeof *pem);
    int rv = read_file(file, &text, &len);
    if (rv) {
        (void)snprintf(error, cap, "%s: %s", file, strerror(-rv));
        return rv;
    }
    rv = decode(pem, text, len);
    explicit_bzero(text, len);
    free(text);
    if (rv) {
        pem_file_close(pem);
        (void)snprintf(error, cap, "%s: %s", file,
                       rv == -EBADMSG ? "not valid PEM (damaged, or an encrypted key)"
                                      : strerror(-rv));
    }
    return rv;
}

void pem_file_close(struct pem_file *pem)
{
    for (size_t i = 0; i < pem->count; i++) {
        if (pem->objects[i].data)
            explicit_bzero(pem->objects[i].data, pem->objects[i].len);
        free(pem->objects[i].data);
    }
    pem->count = 0;
}
