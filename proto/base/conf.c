/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/conf.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct entry {
    char *section, *key, *value;
    int line;
    bool known;
};

struct base_conf {
    char *path;
    struct entry *entries;
    unsigned n, cap;
    int failed; /* while loading: a negative code */
};

static int no_memory(char error[BASE_CONF_ERROR])
{
    snprintf(error, BASE_CONF_ERROR, "out of memory");
    return -ENOMEM;
}

static struct entry *find(const struct base_conf *c, const char *section, const char *key)
{
    for (unsigned i = 0; i < c->n; i++)
        if (strcmp(c->entries[i].section, section) == 0 && strcmp(c->entries[i].key, key) == 0)
            return &c->entries[i];
    return NULL;
}

/* inih calls this for every key; line numbers it keeps to itself, so they are counted afterwards.
 */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
    struct base_conf *c = user;
    if (find(c, section, name)) {
        c->failed = -EINVAL;
        return 0;
    }
    if (c->n == c->cap) {
        unsigned cap = c->cap ? c->cap * 2 : 32;
        struct entry *p = realloc(c->entries, cap * sizeof *p);
        if (!p) {
            c->failed = -ENOMEM;
            return 0;
        }
        c->entries = p;
        c->cap = cap;
    }
    struct entry *e = &c->entries[c->n];
    *e = (struct entry){strdup(section), strdup(name), strdup(value ? value : ""), 0, false};
    c->n++;
    if (!e->section || !e->key || !e->value) {
        c->failed = -ENOMEM;
        return 0;
    }
    return 1;
}

/* The reader that inih pulls lines from: counts them, and notes each key's line. */
struct source {
    FILE *f;
    struct base_conf *c;
    int line;
    bool too_long; /* the last one; nothing is read behind it */
};

/* The rest of a line that did not fit; false: there is none. */
static bool skip_rest(FILE *f)
{
    int ch = getc(f);
    if (ch == EOF)
        return false;
    while (ch != '\n' && ch != EOF)
        ch = getc(f);
    return true;
}

/* Lines are handed on whole and without their indentation: inih would take the rest of a long line
 * for a line of its own, and an indented one for more of the value before it. */
static char *next_line(char *out, int n, void *stream)
{
    struct source *s = stream;
    for (; s->c->n > 0 && s->c->entries[s->c->n - 1].line == 0;)
        s->c->entries[s->c->n - 1].line = s->line;
    if (s->too_long || !fgets(out, n, s->f))
        return NULL;
    s->line++;
    size_t len = strlen(out), indent = strspn(out, " \t");
    bool whole = (len > 0 && out[len - 1] == '\n') || !skip_rest(s->f);
    bool comment = out[indent] == ';' || out[indent] == '#';
    s->too_long = !whole && !comment;
    if (s->too_long)
        return NULL;
    if (!whole) /* newer versions of inih look for its end themselves, and go too far */
        return strcpy(out, ";\n");
    memmove(out, out + indent, len - indent + 1);
    return out;
}

static int check_file(const char *path, char error[BASE_CONF_ERROR])
{
    struct stat st;
    int rv = 0;
    if (stat(path, &st) != 0)
        rv = -errno;
    else if (!S_ISREG(st.st_mode))
        rv = -EINVAL;
    else if (st.st_size > BASE_CONF_FILE_MAX)
        rv = -EFBIG;
    if (rv)
        snprintf(error, BASE_CONF_ERROR, "%s: %s", path,
                 rv == -EINVAL ? "not a regular file" : strerror(-rv));
    return rv;
}

int base_conf_load(struct base_conf **out, const char *path, char error[BASE_CONF_ERROR])
{
    int rv = check_file(path, error);
    if (rv)
        return rv;
    struct base_conf *c = calloc(1, sizeof *c);
    if (!c || !(c->path = strdup(path))) {
        free(c);
        return no_memory(error);
    }
    struct source s = {fopen(path, "re"), c, 0, false};
    if (!s.f) {
        rv = -errno;
        snprintf(error, BASE_CONF_ERROR, "%s: %s", path, strerror(errno));
        goto fail;
    }
    int bad_line = ini_parse_stream(next_line, &s, on_key, c);
    if (c->n > 0 && c->entries[c->n - 1].line == 0)
        c->entries[c->n - 1].line = s.line;
    bool read_error = ferror(s.f);
    if (fclose(s.f) != 0 || read_error) {
        rv = -EIO;
        snprintf(error, BASE_CONF_ERROR, "%s: cannot be read", path);
    } else if (c->failed == -ENOMEM) {
        rv = no_memory(error);
    } else if (s.too_long) {
        rv = -EINVAL;
        snprintf(error, BASE_CONF_ERROR, "%s:%d: the line is too long, or not a text", path,
                 s.line);
    } else if (bad_line != 0) {
        rv = -EINVAL;
        snprintf(error, BASE_CONF_ERROR, "%s:%d: %s", path, bad_line,
                 c->failed ? "the key stands twice in its section"
                           : "neither a [section], a key = value, nor a comment");
    }
    if (rv)
        goto fail;
    *out = c;
    return 0;
fail:
    base_conf_free(c);
    return rv;
}

void base_conf_free(struct base_conf *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < c->n; i++) {
        free(c->entries[i].section);
        free(c->entries[i].key);
        free(c->entries[i].value);
    }
    free(c->entries);
    free(c->path);
    free(c);
}

const char *base_conf_path(const struct base_conf *c)
{
    return c->path;
}

const char *base_conf_section(const struct base_conf *c, unsigned i)
{
    for (unsigned k = 0; k < c->n; k++) {
        bool first = true;
        for (unsigned j = 0; j < k && first; j++)
            first = strcmp(c->entries[j].section, c->entries[k].section) != 0;
        if (first && i-- == 0)
            return c->entries[k].section;
    }
    return NULL;
}

const char *base_conf_name(const char *section, const char *kind)
{
    size_t n = strlen(kind);
    if (strncmp(section, kind, n) != 0 || section[n] != ' ')
        return NULL;
    const char *name = section + n;
    name += strspn(name, " \t");
    return *name ? name : NULL;
}

const char *base_conf_get(struct base_conf *c, const char *section, const char *key)
{
    struct entry *e = find(c, section, key);
    if (!e)
        return NULL;
    e->known = true;
    return e->value;
}

int base_conf_fail(struct base_conf *c, const char *section, const char *key,
                   char error[BASE_CONF_ERROR], const char *format, ...)
{
    struct entry *e = find(c, section, key);
    int n;
    if (e)
        n = snprintf(error, BASE_CONF_ERROR, "%s:%d: [%s] %s: ", c->path, e->line, section, key);
    else
        n = snprintf(error, BASE_CONF_ERROR, "%s: [%s] %s: ", c->path, section, key);
    if (n >= 0 && n < BASE_CONF_ERROR) {
        va_list ap;
        va_start(ap, format);
        vsnprintf(error + n, (size_t)(BASE_CONF_ERROR - n), format, ap);
        va_end(ap);
    }
    return -EINVAL;
}

/* Letters to change, add or leave out to make b of a; more than 2: 3. */
static unsigned distance(const char *a, const char *b)
{
    enum { KEY_MAX = 40 };
    unsigned row[KEY_MAX + 1];
    size_t n = strlen(b);
    if (n > KEY_MAX || strlen(a) > KEY_MAX)
        return 3;
    for (unsigned k = 0; k <= n; k++)
        row[k] = k;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned before = row[0];
        row[0] = i;
        for (unsigned k = 1; k <= n; k++) {
            unsigned change = before + (a[i - 1] != b[k - 1]);
            before = row[k];
            row[k] = row[k] < row[k - 1] ? row[k] + 1 : row[k - 1] + 1;
            row[k] = change < row[k] ? change : row[k];
        }
    }
    return row[n] < 3 ? row[n] : 3;
}

/* With the key of that section that looks like a slip of the pen, if there is one. */
static int required(struct base_conf *c, const char *section, const char *key,
                    char error[BASE_CONF_ERROR])
{
    for (unsigned i = 0; !find(c, section, key) && i < c->n; i++) {
        const struct entry *e = &c->entries[i];
        if (!e->known && strcmp(e->section, section) == 0 && distance(e->key, key) < 3)
            return base_conf_fail(c, section, key, error,
                                  "is required (line %d has an unknown key '%s')", e->line, e->key);
    }
    return base_conf_fail(c, section, key, error, "is required");
}

int base_conf_need(struct base_conf *c, const char *section, const char *key, const char **out,
                   char error[BASE_CONF_ERROR])
{
    const char *v = base_conf_get(c, section, key);
    if (!v || !*v)
        return required(c, section, key, error);
    *out = v;
    return 0;
}

int base_conf_int(struct base_conf *c, const char *section, const char *key, int64_t min,
                  int64_t max, int64_t *out, char error[BASE_CONF_ERROR])
{
    const char *v = base_conf_get(c, section, key);
    if (!v)
        return 0;
    char *end;
    errno = 0;
    long long n = strtoll(v, &end, 10);
    if (errno || end == v || *end || n < min || n > max)
        return base_conf_fail(c, section, key, error, "expected a whole number from %lld to %lld",
                              (long long)min, (long long)max);
    *out = n;
    return 0;
}

int base_conf_bool(struct base_conf *c, const char *section, const char *key, bool *out,
                   char error[BASE_CONF_ERROR])
{
    const char *v = base_conf_get(c, section, key);
    if (!v)
        return 0;
    if (strcmp(v, "true") != 0 && strcmp(v, "false") != 0)
        return base_conf_fail(c, section, key, error, "expected true or false");
    *out = v[0] == 't';
    return 0;
}

int base_conf_path_of(struct base_conf *c, const char *section, const char *key, bool need,
                      char **out, char error[BASE_CONF_ERROR])
{
    const char *v = base_conf_get(c, section, key);
    *out = NULL;
    if (!v || !*v)
        return need ? required(c, section, key, error) : 0;
    const char *slash = strrchr(c->path, '/');
    int dir = v[0] == '/' || !slash ? 0 : (int)(slash - c->path + 1);
    if (asprintf(out, "%.*s%s", dir, c->path, v) < 0) {
        *out = NULL;
        return no_memory(error);
    }
    return 0;
}

bool base_address_split(const char *text, char *host, size_t cap, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text)
        return false;
    const char *from = text;
    size_t n = (size_t)(colon - text);
    if (text[0] == '[' && colon[-1] == ']') {
        from++;
        n -= 2;
    } else if (memchr(text, ':', n)) {
        return false; /* a bare IPv6 address: which part is the port? */
    }
    char *end;
    errno = 0;
    unsigned long p = strtoul(colon + 1, &end, 10);
    if (n == 0 || n >= cap || errno || *end || p > 65535 || colon[1] < '0' || colon[1] > '9')
        return false;
    memcpy(host, from, n);
    host[n] = '\0';
    *port = (uint16_t)p;
    return true;
}

int base_conf_address(struct base_conf *c, const char *section, const char *key, char *host,
                      size_t cap, uint16_t *port, char error[BASE_CONF_ERROR])
{
    const char *v = NULL;
    int rv = base_conf_need(c, section, key, &v, error);
    if (rv)
        return rv;
    if (!base_address_split(v, host, cap, port))
        return base_conf_fail(c, section, key, error, "expected HOST:PORT");
    return 0;
}

int base_conf_done(const struct base_conf *c, char error[BASE_CONF_ERROR])
{
    for (unsigned i = 0; i < c->n; i++)
        if (!c->entries[i].known) {
            snprintf(error, BASE_CONF_ERROR, "%s:%d: unknown key '%s' in [%s]", c->path,
                     c->entries[i].line, c->entries[i].key, c->entries[i].section);
            return -EINVAL;
        }
    return 0;
}
