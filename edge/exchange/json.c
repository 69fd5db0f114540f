/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/exchange/json.h"

#include "proto/base/check.h"
#include "proto/money.h"

#include <stdio.h>

yyjson_doc *edge_json_read(const char *text, size_t n, const char **why, size_t *at)
{
    yyjson_read_err err;
    /* Without the in-situ flag yyjson does not write to the text. */
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)text, n, YYJSON_READ_NUMBER_AS_RAW, NULL, &err);
    if (doc == NULL) {
        *why = err.msg != NULL ? err.msg : "not JSON";
        *at = err.pos;
    }
    return doc;
}

bool edge_json_count(yyjson_val *value, int64_t *out)
{
    const char *p = yyjson_get_raw(value);
    if (p == NULL)
        return false;
    int64_t sum = 0;
    for (size_t i = 0, n = yyjson_get_len(value); i < n; i++) {
        if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, p[i] - '0', &sum))
            return false;
    }
    *out = sum;
    return true;
}

bool edge_json_number_up(yyjson_val *value, int64_t *out)
{
    const char *p = yyjson_get_raw(value);
    return p != NULL &&
           proto_decimal_scale((struct proto_str){p, (uint32_t)yyjson_get_len(value)}, 0, out) == 0;
}

struct proto_str edge_json_str(yyjson_val *value)
{
    return (struct proto_str){yyjson_get_str(value),
                              (uint32_t)yyjson_get_len(value) * (uint32_t)yyjson_is_str(value)};
}

/* ---- places ---- */

static size_t skip_blanks(const char *text, size_t n, size_t i)
{
    while (i < n && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r'))
        i++;
    return i;
}

/* From the opening quote to the place after the closing one. */
static size_t skip_string(const char *text, size_t n, size_t i)
{
    for (i++; i < n && text[i] != '"'; i++)
        if (text[i] == '\\')
            i++;
    return i + 1;
}

/* The place after a value; 0: nested too deep. */
static size_t skip_value(const char *text, size_t n, size_t i)
{
    unsigned depth = 1; /* of the object the value is in */
    unsigned outer = depth;
    do {
        i = skip_blanks(text, n, i);
        if (i >= n)
            return n;
        switch (text[i]) {
        case '"':
            i = skip_string(text, n, i);
            break;
        case '{':
        case '[':
            if (++depth > EDGE_JSON_DEPTH_MAX)
                return 0;
            i++;
            break;
        case '}':
        case ']':
            depth--;
            i++;
            break;
        case ',':
        case ':':
            i++;
            break;
        default: /* a number, true, false, null */
            while (i < n && strchr(",:]} \t\r\n", text[i]) == NULL)
                i++;
        }
    } while (depth > outer);
    return i;
}

bool edge_members_find(const char *text, size_t n, size_t object, struct edge_members *out)
{
    out->n = 0;
    size_t i = skip_blanks(text, n, object);
    CHECK(i < n && text[i] == '{');
    out->open = ++i;
    for (;;) {
        i = skip_blanks(text, n, i);
        if (i >= n || text[i] == '}')
            return true;
        if (text[i] == ',') {
            i++;
            continue;
        }
        if (out->n == EDGE_JSON_MEMBERS_MAX)
            return false;
        i = skip_blanks(text, n, skip_string(text, n, i));
        i = skip_blanks(text, n, i + 1); /* past ':' */
        size_t end = skip_value(text, n, i);
        if (end == 0)
            return false;
        out->value[out->n++] = (struct edge_span){i, end};
        i = end;
    }
}

int edge_member_of(yyjson_val *object, const char *key)
{
    size_t i, max;
    yyjson_val *name, *value;
    yyjson_obj_foreach(object, i, max, name, value)
    {
        if (yyjson_equals_str(name, key))
            return (int)i;
    }
    return -1;
}

struct proto_str edge_member_double(yyjson_val *object)
{
    struct proto_str seen[EDGE_JSON_MEMBERS_MAX];
    size_t i, max;
    yyjson_val *name, *value;
    yyjson_obj_foreach(object, i, max, name, value)
    {
        if (i >= EDGE_JSON_MEMBERS_MAX)
            break;
        seen[i] = edge_json_str(name);
        for (size_t j = 0; j < i; j++)
            if (proto_str_eq(seen[j], seen[i]))
                return seen[i];
    }
    return (struct proto_str){NULL, 0};
}

/* The next character of a key with its case folded: U+017F folds to s, U+212A to k. */
static int next_folded(const char **p, const char *end)
{
    unsigned char c = (unsigned char)**p;
    size_t left = (size_t)(end - *p);
    if (left >= 2 && memcmp(*p, "\xC5\xBF", 2) == 0) {
        *p += 2;
        return 's';
    }
    if (left >= 3 && memcmp(*p, "\xE2\x84\xAA", 3) == 0) {
        *p += 3;
        return 'k';
    }
    *p += 1;
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

bool edge_key_looks_like(struct proto_str key, const char *name)
{
    const char *p = key.p, *end = key.p + key.n;
    if (proto_str_eq(key, proto_str_of(name)))
        return false;
    for (; p < end && *name != '\0'; name++)
        if (next_folded(&p, end) != (unsigned char)*name)
            return false;
    return p == end && *name == '\0';
}

/* ---- edits ---- */

void edge_edits_put(struct edge_edits *edits, struct edge_span span, const char *text)
{
    CHECK(edits->n < EDGE_JSON_EDITS_MAX);
    /* In the order of the text; at one place, in the order they were put. */
    size_t i = edits->n++;
    for (; i > 0 && edits->e[i - 1].span.at > span.at; i--)
        edits->e[i] = edits->e[i - 1];
    struct edge_edit *e = &edits->e[i];
    e->span = span;
    int n = snprintf(e->text, sizeof e->text, "%s", text);
    CHECK(n >= 0 && (size_t)n < sizeof e->text);
}

int edge_edits_apply(struct edge_edits *edits, const char *text, size_t n, struct base_buf *out)
{
    size_t at = 0;
    for (size_t i = 0; i < edits->n; i++) {
        const struct edge_edit *e = &edits->e[i];
        CHECK(e->span.at >= at && e->span.end >= e->span.at && e->span.end <= n);
        int rc = base_buf_add(out, text + at, e->span.at - at);
        if (rc == 0)
            rc = base_buf_add(out, e->text, strlen(e->text));
        if (rc < 0)
            return rc;
        at = e->span.end;
    }
    return base_buf_add(out, text + at, n - at);
}
