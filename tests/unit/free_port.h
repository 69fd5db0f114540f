/* SPDX-License-Identifier: Apache-2.0
 * A port of 127.0.0.1 that is free now, for a test's listener whose address others must know first.
 */
#ifndef HOLDFAST_TESTS_UNIT_FREE_PORT_H
#define HOLDFAST_TESTS_UNIT_FREE_PORT_H

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static inline uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        abort();
    (void)close(fd);
    return ntohs(a.sin_port);
}

#endif
