/* SPDX-License-Identifier: Apache-2.0
 * What holdfastctl prints. Commands fill one JSON object; here it becomes JSON text, or for people
 * lines of "key value" and a table. Members named *_nanos are for machines only.
 */
#include "tools/ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { COLUMNS_MAX = 16, CELL_MAX = 160 };

int ctl_fail(struct ctl *c, int status, const char *code, const char *format, ...)
{
    va_list ap;
    snprintf(c->code, sizeof c->code, "%s", code);
    va_start(ap, format);
    vsnprintf(c->error, sizeof c->error, format, ap);
    va_end(ap);
    return status;
}

/* ---- filling ---- */
void out_str(struct ctl *c, yyjson_mut_val *obj, const char *key, struct proto_str s)
{
    yyjson_mut_obj_add_strncpy(c->doc, obj, key, s.n ? s.p : "", s.n);
}

void out_text(struct ctl *c, yyjson_mut_val *obj, const char *key, const char *s)
{
    yyjson_mut_obj_add_strcpy(c->doc, obj, key, s);
}

void out_int(struct ctl *c, yyjson_mut_val *obj, const char *key, int64_t v)
{
    yyjson_mut_obj_add_sint(c->doc, obj, key, v);
}

void out_uint(struct ctl *c, yyjson_mut_val *obj, const char *key, uint64_t v)
{
    yyjson_mut_obj_add_uint(c->doc, obj, key, v);
}

void out_bool(struct ctl *c, yyjson_mut_val *obj, const char *key, bool v)
{
    yyjson_mut_obj_add_bool(c->doc, obj, key, v);
}

void out_null(struct ctl *c, yyjson_mut_val *obj, const char *key)
{
    yyjson_mut_obj_add_null(c->doc, obj, key);
}

void out_uuid(struct ctl *c, yyjson_mut_val *obj, const char *key, const struct proto_uuid *u)
{
    char text[PROTO_UUID_TEXT];
    proto_uuid_print(u, text);
    out_text(c, obj, key, text);
}

void out_hash(struct ctl *c, yyjson_mut_val *obj, const char *key, const struct proto_hash *h)
{
    char text[PROTO_HASH_TEXT];
    struct proto_text t = proto_text_over(text, sizeof text);
    proto_text_hex(&t, h->b, sizeof h->b);
    out_text(c, obj, key, text);
}

void out_time(struct ctl *c, yyjson_mut_val *obj, const char *key, int64_t us)
{
    char text[64];
    struct proto_text t = proto_text_over(text, sizeof text);
    proto_text_time(&t, us);
    if (us == 0)
        out_null(c, obj, key);
    else
        out_text(c, obj, key, text);
}

void out_money(struct ctl *c, yyjson_mut_val *obj, const char *key, int64_t nanos)
{
    char text[PROTO_MONEY_TEXT_MAX], exact[64];
    proto_money_print(nanos, text);
    out_text(c, obj, key, text);
    snprintf(exact, sizeof exact, "%s_nanos", key);
    yyjson_mut_obj_add(obj, yyjson_mut_strcpy(c->doc, exact), yyjson_mut_sint(c->doc, nanos));
}

yyjson_mut_val *out_list(struct ctl *c, const char *key)
{
    yyjson_mut_val *list = yyjson_mut_arr(c->doc);
    yyjson_mut_obj_add_val(c->doc, c->out, key, list);
    return list;
}

yyjson_mut_val *out_row(struct ctl *c, yyjson_mut_val *list)
{
    return yyjson_mut_arr_add_obj(c->doc, list);
}

void out_models(struct ctl *c, yyjson_mut_val *obj, uint32_t n, const struct proto_allowed *models)
{
    yyjson_mut_val *list = yyjson_mut_arr(c->doc);
    for (uint32_t i = 0; i < n; i++)
        yyjson_mut_arr_add_strncpy(c->doc, list, models[i].model.p, models[i].model.n);
    yyjson_mut_obj_add_val(c->doc, obj, "models", list);
}

void out_receipt(struct ctl *c, const struct ctl_reply *r)
{
    out_uint(c, c->out, "index", r->index);
    out_uint(c, c->out, "ordinal", r->ordinal);
    out_hash(c, c->out, "chain", &r->chain);
    out_bool(c, c->out, "duplicate", r->result.flags & PROTO_FLAG_DUPLICATE);
}

/* ---- for people ---- */
/* The text of a value into cell; cut where it does not fit. */
static void cell_text(yyjson_mut_val *v, char cell[CELL_MAX])
{
    cell[0] = '\0';
    if (yyjson_mut_is_str(v)) {
        snprintf(cell, CELL_MAX, "%s", yyjson_mut_get_str(v));
    } else if (yyjson_mut_is_bool(v)) {
        snprintf(cell, CELL_MAX, "%s", yyjson_mut_get_bool(v) ? "yes" : "no");
    } else if (yyjson_mut_is_uint(v)) {
        snprintf(cell, CELL_MAX, "%llu", (unsigned long long)yyjson_mut_get_uint(v));
    } else if (yyjson_mut_is_sint(v)) {
        snprintf(cell, CELL_MAX, "%lld", (long long)yyjson_mut_get_sint(v));
    } else if (yyjson_mut_is_arr(v)) {
        size_t i, max, n = 0;
        yyjson_mut_val *each;
        yyjson_mut_arr_foreach(v, i, max, each)
        {
            char one[CELL_MAX];
            cell_text(each, one);
            if (n < CELL_MAX)
                n += (size_t)snprintf(cell + n, CELL_MAX - n, "%s%s", i ? "," : "", one);
        }
    } else {
        snprintf(cell, CELL_MAX, "-");
    }
    if (!cell[0])
        snprintf(cell, CELL_MAX, "-");
}

static int width_of(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80; /* continuation bytes take no place */
    return n;
}

static void put_cell(const char *text, int width, bool last)
{
    fputs(text, stdout);
    for (int i = width_of(text); !last && i < width + 2; i++)
        putchar(' ');
    if (last)
        putchar('\n');
}

static void print_table(yyjson_mut_val *rows, const char *const *columns)
{
    int width[COLUMNS_MAX] = {0};
    unsigned n = 0;
    size_t i, max;
    yyjson_mut_val *row;
    char cell[CELL_MAX];
    while (n < COLUMNS_MAX && columns[n]) {
        width[n] = width_of(columns[n]);
        n++;
    }
    yyjson_mut_arr_foreach(rows, i, max, row) for (unsigned k = 0; k < n; k++)
    {
        cell_text(yyjson_mut_obj_get(row, columns[k]), cell);
        width[k] = width_of(cell) > width[k] ? width_of(cell) : width[k];
    }
    for (unsigned k = 0; k < n; k++) {
        size_t p = 0;
        for (; columns[k][p] && p + 1 < sizeof cell; p++)
            cell[p] = (char)(columns[k][p] >= 'a' && columns[k][p] <= 'z' ? columns[k][p] - 32
                             : columns[k][p] == '_'                       ? ' '
                                                                          : columns[k][p]);
        cell[p] = '\0';
        put_cell(cell, width[k], k + 1 == n);
    }
    yyjson_mut_arr_foreach(rows, i, max, row) for (unsigned k = 0; k < n; k++)
    {
        cell_text(yyjson_mut_obj_get(row, columns[k]), cell);
        put_cell(cell, width[k], k + 1 == n);
    }
}

static bool for_machines(const char *key)
{
    size_t n = strlen(key);
    return n > 6 && strcmp(key + n - 6, "_nanos") == 0;
}

static void print_people(struct ctl *c, const struct ctl_action *action)
{
    yyjson_mut_obj_iter it;
    yyjson_mut_val *key;
    int width = 0;
    for (int pass = 0; pass < 2; pass++) {
        yyjson_mut_obj_iter_init(c->out, &it);
        while ((key = yyjson_mut_obj_iter_next(&it))) {
            const char *name = yyjson_mut_get_str(key);
            yyjson_mut_val *v = yyjson_mut_obj_iter_get_val(key);
            char cell[CELL_MAX];
            if (for_machines(name) || yyjson_mut_is_obj(v) ||
                yyjson_mut_is_obj(yyjson_mut_arr_get_first(v)) ||
                (action->table && strcmp(name, action->table) == 0))
                continue;
            cell_text(v, cell);
            const char *whole = yyjson_mut_get_str(v); /* a line has room for all of it */
            if (pass == 0)
                width = width_of(name) > width ? width_of(name) : width;
            else
                printf("%-*s  %s\n", width, name, whole && *whole ? whole : cell);
        }
    }
    if (action->table) {
        yyjson_mut_val *rows = yyjson_mut_obj_get(c->out, action->table);
        if (width > 0)
            putchar('\n');
        print_table(rows, action->columns);
    }
}

/* ---- the end of a run ---- */
static void error_object(struct ctl *c)
{
    yyjson_mut_val *error = yyjson_mut_obj(c->doc);
    out_text(c, error, "code", c->code);
    out_text(c, error, "message", c->error);
    if (c->detail.n > 0 && !c->detail.full) {
        yyjson_doc *doc = yyjson_read(c->detail.base, c->detail.n, 0);
        yyjson_mut_val *copy = yyjson_val_mut_copy(c->doc, yyjson_doc_get_root(doc));
        if (copy)
            yyjson_mut_obj_add_val(c->doc, error, "result", copy);
        yyjson_doc_free(doc);
    }
    yyjson_mut_obj_add_val(c->doc, c->out, "error", error);
}

int ctl_print(struct ctl *c, const struct ctl_action *action, int status)
{
    if (status != CTL_OK && c->error[0]) {
        if (action->table) /* a list that was begun must not pass for the whole, or for none */
            yyjson_mut_obj_remove_key(c->out, action->table);
        error_object(c);
    }
    if (c->json) {
        char *text = yyjson_mut_write(c->doc, YYJSON_WRITE_PRETTY, NULL);
        if (!text || puts(text) < 0)
            status = status ? status : CTL_USAGE;
        free(text);
    } else if (status == CTL_OK || !c->error[0]) {
        print_people(c, action);
    }
    if (!c->json && status != CTL_OK && c->error[0])
        fprintf(stderr, "holdfastctl: %s\n", c->error);
    if (fflush(stdout) != 0 && status == CTL_OK)
        status = CTL_USAGE;
    return status;
}
