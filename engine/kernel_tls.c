#include "engine/kernel_tls.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#ifndef SOL_TLS
#define SOL_TLS 282 /* of linux/socket.h; glibc has it since 2.39 */
#endif

int engine_kernel_tls_start(int fd)
{
    static const char name[] = "tls";

    return setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof(name)) == 0 ? 0 : -errno;
}

int engine_kernel_tls_key(int fd, enum engine_tls_direction direction, const void *key,
                          unsigned key_bytes)
{
    int option = direction == ENGINE_TLS_SEND ? TLS_TX : TLS_RX;
    int window = ENGINE_KERNEL_TLS_WINDOW_BYTES;

    if (setsockopt(fd, SOL_TLS, option, key, key_bytes) < 0)
        return -errno;
    if (direction == ENGINE_TLS_RECEIVE)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &window, sizeof(window));
    return 0;
}

int engine_kernel_tls_record(int fd, uint8_t *type_out, char *into, size_t room)
{
    struct iovec part = { .iov_base = into, .iov_len = room };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(uint8_t))];
    } control;
    struct msghdr message = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    ssize_t bytes = recvmsg(fd, &message, MSG_DONTWAIT);
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    if (bytes < 0)
        return -errno;
    if (header == NULL || header->cmsg_level != SOL_TLS || header->cmsg_type != TLS_GET_RECORD_TYPE)
        return -EPROTO;
    *type_out = *CMSG_DATA(header);
    return (int)bytes;
}

void engine_kernel_tls_mark(struct msghdr *message, uint8_t type)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);

    ASSERT(header != NULL);
    header->cmsg_level = SOL_TLS;
    header->cmsg_type = TLS_SET_RECORD_TYPE;
    header->cmsg_len = CMSG_LEN(sizeof(type));
    *CMSG_DATA(header) = type;
    message->msg_controllen = header->cmsg_len;
}
