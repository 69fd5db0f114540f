/* SPDX-License-Identifier: Apache-2.0
 * Match rules of the genai-prices catalogue. Case of letters does not count. Its regular
 * expressions are Python's; the few forms in use ((?:…), \d, \w, \., anchors, classes) are
 * translated to POSIX extended ones, and what is not translatable matches nothing.
 */
#include "tools/prices/import.h"

#include <regex.h>
#include <stdio.h>
#include <strings.h>

enum { RULE_DEPTH = 8, REGEX_MAX = 512 };

static bool translate(struct proto_str in, char out[REGEX_MAX])
{
    size_t n = 0;
    for (uint32_t i = 0; i < in.n; i++) {
        if (n + 16 > REGEX_MAX)
            return false;
        if (in.p[i] == '(' && i + 1 < in.n && in.p[i + 1] == '?') {
            if (i + 2 >= in.n || in.p[i + 2] != ':')
                return false; /* look-around, named groups */
            out[n++] = '(';
            i += 2;
        } else if (in.p[i] == '\\' && i + 1 < in.n) {
            char c = in.p[++i];
            if (c == 'd' || c == 'w') {
                const char *set = c == 'd' ? "[0-9]" : "[A-Za-z0-9_]";
                memcpy(out + n, set, strlen(set));
                n += strlen(set);
            } else if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) {
                return false; /* back references, \b, \s and the like */
            } else {
                out[n++] = '\\';
                out[n++] = c;
            }
        } else {
            out[n++] = in.p[i];
        }
    }
    out[n] = '\0';
    return true;
}

static bool regex_match(struct proto_str pattern, struct proto_str text)
{
    char posix[REGEX_MAX], name[PROTO_NAME_MAX * 2];
    regex_t re;
    if (text.n >= sizeof name || !translate(pattern, posix) ||
        regcomp(&re, posix, REG_EXTENDED | REG_ICASE | REG_NOSUB))
        return false;
    memcpy(name, text.p, text.n);
    name[text.n] = '\0';
    bool hit = regexec(&re, name, 0, NULL, 0) == 0;
    regfree(&re);
    return hit;
}

static bool equal_at(struct proto_str text, uint32_t at, struct proto_str want)
{
    return at + want.n <= text.n && strncasecmp(text.p + at, want.p, want.n) == 0;
}

static bool contains(struct proto_str text, struct proto_str want)
{
    for (uint32_t i = 0; i + want.n <= text.n; i++)
        if (equal_at(text, i, want))
            return true;
    return false;
}

static bool leaf_match(const char *op, struct proto_str want, struct proto_str text)
{
    if (strcmp(op, "equals") == 0)
        return text.n == want.n && equal_at(text, 0, want);
    if (strcmp(op, "starts_with") == 0)
        return equal_at(text, 0, want);
    if (strcmp(op, "ends_with") == 0)
        return want.n <= text.n && equal_at(text, text.n - want.n, want);
    if (strcmp(op, "contains") == 0)
        return contains(text, want);
    if (strcmp(op, "regex") == 0)
        return regex_match(want, text);
    return false;
}

/* The one operator of a rule and what it applies to; false: not of that form. */
static bool operator_of(yyjson_val *rule, const char **op, yyjson_val **arg)
{
    if (!yyjson_is_obj(rule) || yyjson_obj_size(rule) != 1)
        return false;
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach(rule, i, n, key, v)
    {
        *op = yyjson_get_str(key);
        *arg = v;
    }
    return true;
}

static bool match(yyjson_val *rule, struct proto_str text, int depth)
{
    const char *op;
    yyjson_val *arg, *each;
    size_t i, n;
    if (depth == RULE_DEPTH || !operator_of(rule, &op, &arg))
        return false;
    if (strcmp(op, "or") == 0 || strcmp(op, "and") == 0) {
        bool all = op[0] == 'a';
        if (!yyjson_is_arr(arg) || yyjson_arr_size(arg) == 0)
            return false;
        yyjson_arr_foreach(arg, i, n, each) if (match(each, text, depth + 1) != all) return !all;
        return all;
    }
    return yyjson_is_str(arg) && leaf_match(op, prices_str(arg), text);
}

bool prices_rule_match(yyjson_val *rule, struct proto_str text)
{
    return match(rule, text, 0);
}

static int names(yyjson_val *rule, int (*fn)(void *ctx, struct proto_str name), void *ctx,
                 int depth)
{
    const char *op;
    yyjson_val *arg, *each;
    size_t i, n;
    if (depth == RULE_DEPTH || !operator_of(rule, &op, &arg))
        return 0;
    if (strcmp(op, "equals") == 0 && yyjson_is_str(arg))
        return fn(ctx, prices_str(arg));
    int rv = 0;
    if (strcmp(op, "or") == 0)
        yyjson_arr_foreach(arg, i, n, each) if (rv == 0) rv = names(each, fn, ctx, depth + 1);
    return rv;
}

int prices_rule_names(yyjson_val *rule, int (*fn)(void *ctx, struct proto_str name), void *ctx)
{
    return names(rule, fn, ctx, 0);
}
