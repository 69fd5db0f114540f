/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/origin.h"

#include "proto/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

int origin_write(const char *dir, const struct proto_uuid *cluster, struct store_why *why)
{
    char path[PATH_MAX], uuid[PROTO_UUID_TEXT];
    (void)snprintf(path, sizeof path, "%s/ORIGIN", dir);
    proto_uuid_print(cluster, uuid);
    FILE *f = fopen(path, "wxe");
    if (!f)
        return store_why_set(why, -errno, "create %s: %s", path, strerror(errno));
    bool ok = fprintf(f, "%s\n", uuid) > 0 && fflush(f) == 0 && fsync(fileno(f)) == 0;
    ok = fclose(f) == 0 && ok;
    return ok ? 0 : store_why_set(why, -EIO, "write %s: %s", path, strerror(errno));
}

int origin_read(const char *dir, struct proto_uuid *cluster)
{
    char path[PATH_MAX], text[64] = "";
    if (snprintf(path, sizeof path, "%s/ORIGIN", dir) >= (int)sizeof path)
        return -ENAMETOOLONG;
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    bool ok = fgets(text, sizeof text, f) != NULL;
    (void)fclose(f);
    text[strcspn(text, "\n")] = '\0';
    return ok && proto_uuid_parse(proto_str_of(text), cluster) ? 0 : -EUCLEAN;
}
