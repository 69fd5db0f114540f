/* SPDX-License-Identifier: Apache-2.0 */
#include "recordings.h"

#include "proto/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *shared(void)
{
    const char *path = getenv("HOLDFAST_SHARED");
    return path != NULL ? path : "../shared";
}

static char *read_file(const char *name, size_t *n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/data/streams/%s", shared(), name);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return NULL;
    char *bytes = NULL;
    size_t cap = 0;
    *n = 0;
    do {
        cap = cap > 0 ? cap * 2 : 65536;
        bytes = realloc(bytes, cap + 1);
        CHECK(bytes != NULL);
        *n += fread(bytes + *n, 1, cap - *n, f);
    } while (*n == cap);
    fclose(f);
    bytes[*n] = '\0';
    return bytes;
}

static char *as_events(const char *text, size_t n, size_t *out_n)
{
    size_t rows = 1;
    for (size_t i = 0; i < n; i++)
        rows += text[i] == '\n';
    char *out = malloc(n + rows * 8 + 32), *o = out;
    CHECK(out != NULL);
    for (const char *p = text; p < text + n;) {
        size_t k = strcspn(p, "\n");
        if (k > 0)
            o += sprintf(o, "data: %.*s\n\n", (int)k, p);
        p += k + 1;
    }
    o += sprintf(o, "data: [DONE]\n\n");
    *out_n = (size_t)(o - out);
    return out;
}

static void visit_row(yyjson_val *row, void (*visit)(const struct recording *r))
{
    struct recording r = {.row = row, .file = yyjson_get_str(yyjson_obj_get(row, "file"))};
    char *text = read_file(r.file, &r.n);
    CHECK(text != NULL);
    r.bytes = text;
    if (yyjson_equals_str(yyjson_obj_get(row, "framing"), "jsonl"))
        r.bytes = as_events(text, r.n, &r.n);
    visit(&r);
    if (r.bytes != text)
        free(r.bytes);
    free(text);
}

unsigned recordings_visit(const char *api, void (*visit)(const struct recording *r))
{
    size_t n;
    unsigned visited = 0;
    char *manifest = read_file("manifest.jsonl", &n);
    if (manifest == NULL) {
        printf("no recordings at %s/data/streams: skipped\n", shared());
        return 0;
    }
    for (char *line = manifest, *next; *line != '\0'; line = next) {
        const char *why;
        size_t at;
        next = line + strcspn(line, "\n");
        yyjson_doc *doc = edge_json_read(line, (size_t)(next - line), &why, &at);
        next += *next == '\n';
        CHECK(doc != NULL);
        yyjson_val *row = yyjson_doc_get_root(doc);
        if (yyjson_equals_str(yyjson_obj_get(row, "api"), api)) {
            visit_row(row, visit);
            visited++;
        }
        yyjson_doc_free(doc);
    }
    free(manifest);
    return visited;
}

int64_t recording_usage(const struct recording *r, const char *name)
{
    int64_t n = 0;
    edge_json_count(yyjson_obj_get(yyjson_obj_get(r->row, "expected_usage"), name), &n);
    return n;
}

bool recording_has_usage(const struct recording *r)
{
    return yyjson_obj_size(yyjson_obj_get(r->row, "expected_usage")) > 0;
}
