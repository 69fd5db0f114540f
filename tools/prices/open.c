/* SPDX-License-Identifier: Apache-2.0
 * Opening a catalogue: reading the file, telling the format, running the importer.
 */
#include "tools/prices/import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(char error[PRICES_ERROR_MAX], int code, const char *text)
{
    snprintf(error, PRICES_ERROR_MAX, "%s", text);
    return code;
}

/* "dddd-dd-dd" or "dddd-dd-ddTdd:dd:ddZ", with parts in their ranges. */
static bool at_valid(const char *at)
{
    static const char shape[] = "0000-00-00T00:00:00Z";
    size_t n = strlen(at);
    if (n != 10 && n != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < n; i++)
        if (shape[i] == '0' ? at[i] < '0' || at[i] > '9' : at[i] != shape[i])
            return false;
    int month = (at[5] - '0') * 10 + at[6] - '0', day = (at[8] - '0') * 10 + at[9] - '0';
    if (month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    return n == 10 || (strncmp(at + 11, "24", 2) < 0 && at[14] < '6' && at[17] < '6');
}

static enum prices_format format_of(yyjson_val *root)
{
    if (yyjson_is_arr(root)) {
        yyjson_val *first = yyjson_arr_get_first(root);
        return yyjson_is_arr(yyjson_obj_get(first, "models")) ? PRICES_GENAI : PRICES_UNKNOWN;
    }
    size_t i, n;
    yyjson_val *key, *entry;
    if (yyjson_is_obj(root))
        yyjson_obj_foreach(
            root, i, n, key,
            entry) if (yyjson_obj_get(entry, "litellm_provider")) return PRICES_LITELLM;
    return PRICES_UNKNOWN;
}

const char *prices_format_name(enum prices_format format)
{
    return format == PRICES_LITELLM ? "litellm" : format == PRICES_GENAI ? "genai-prices" : "?";
}

int prices_open(struct prices *p, const void *text, size_t n, const char *at,
                char error[PRICES_ERROR_MAX])
{
    *p = (struct prices){0};
    if (n > PRICES_FILE_MAX)
        return fail(error, -EFBIG, "the catalogue is larger than 64 MiB");
    if (!at_valid(at))
        return fail(error, -EINVAL, "the date must be YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ");
    memcpy(p->at, at, strlen(at) + 1);
    yyjson_read_err bad;
    /* yyjson does not write to its input without YYJSON_READ_INSITU */
    p->doc = yyjson_read_opts((char *)(uintptr_t)text, n, YYJSON_READ_NUMBER_AS_RAW, NULL, &bad);
    if (!p->doc) {
        snprintf(error, PRICES_ERROR_MAX, "not JSON: %s at byte %zu", bad.msg, bad.pos);
        return bad.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? -ENOMEM : -EINVAL;
    }
    yyjson_val *root = yyjson_doc_get_root(p->doc);
    p->format = format_of(root);
    int rv = -EINVAL;
    if (p->format == PRICES_LITELLM)
        rv = prices_import_litellm(p, root);
    else if (p->format == PRICES_GENAI)
        rv = prices_import_genai(p, root);
    else
        fail(error, rv, "neither the LiteLLM price map nor the genai-prices catalogue");
    if (rv == 0)
        rv = prices_settle_names(p);
    if (rv == -ENOMEM)
        fail(error, rv, "out of memory");
    else if (rv == -E2BIG)
        fail(error, rv, "the catalogue has more names than an import can take");
    if (rv)
        prices_close(p);
    return rv;
}

int prices_load(struct prices *p, const char *path, const char *at, char error[PRICES_ERROR_MAX])
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        int code = errno;
        snprintf(error, PRICES_ERROR_MAX, "%s: %s", path, strerror(code));
        return -code;
    }
    int rv = -ENOMEM;
    size_t n = 0, cap = 1 << 20, got = 1;
    char *text = malloc(cap);
    while (text && got > 0 && n <= PRICES_FILE_MAX) {
        if (n == cap) {
            char *more = realloc(text, cap * 2);
            if (!more)
                break;
            text = more;
            cap *= 2;
        }
        got = fread(text + n, 1, cap - n, f);
        n += got;
    }
    if (ferror(f)) {
        snprintf(error, PRICES_ERROR_MAX, "%s: cannot be read", path);
        rv = -EIO;
    } else if (!text || (got > 0 && n <= PRICES_FILE_MAX)) {
        fail(error, rv, "out of memory");
    } else {
        char why[PRICES_ERROR_MAX];
        rv = prices_open(p, text, n, at, why);
        if (rv)
            snprintf(error, PRICES_ERROR_MAX, "%.100s: %.150s", path, why);
    }
    free(text);
    fclose(f);
    return rv;
}

void prices_close(struct prices *p)
{
    for (uint32_t i = 0; i < p->n_rows; i++)
        free((char *)(uintptr_t)p->rows[i].price.model.p);
    for (uint32_t i = 0; i < p->n_skips; i++)
        free(p->skips[i].name);
    for (uint32_t i = 0; i < p->n_notes; i++)
        free(p->notes[i].key);
    free(p->rows);
    free(p->skips);
    yyjson_doc_free(p->doc);
    *p = (struct prices){0};
}
