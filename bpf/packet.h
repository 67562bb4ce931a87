/*
 * Reads a frame's headers into a `struct packet` of plain values. Nothing later touches the frame,
 * so that no offset can go stale. Every read is checked against the frame's end and against the
 * length that the IP header gives, for what lies past it is padding.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "shield_maps.h"

/* IEEE 802.1Q and 802.1ad: tags that are looked through. */
#define VLAN_TAGS_MAX 2
/* RFC 8200 names seven extension headers; no sane packet carries more than six. */
#define EXTENSION_HEADERS_MAX 6

#define IP4_OFFSET_MASK 0x1fff
#define IP4_MORE_FRAGMENTS 0x2000
#define IP6_OFFSET_MASK 0xfff8
#define IP6_MORE_FRAGMENTS 1

#define TCP_FLAGS_BYTE 13
#define TCP_SYN 0x02
#define TCP_ACK 0x10

enum packet_flag {
    PACKET_SOURCE = 1, /* source and destination are known */
    PACKET_PORTS = 2,  /* TCP or UDP, and its port is known */
    PACKET_SYN = 4,    /* opens a TCP connection, or is cut so that it may */
    PACKET_CUT = 8,    /* a read went past the bytes at hand */
};

struct packet {
    struct mesh_address source;
    struct mesh_address destination;
    __u16 port; /* of the destination, network byte order */
    __u8 protocol;
    __u8 flags;
    __u32 reason; /* how it counts if nothing is against it */
};

/* The bytes at hand: the frame's first buffer, or a copy of the frame's first bytes. */
struct window {
    const void *start;
    const void *end; /* of the first buffer */
    __u32 copied;    /* bytes of the copy; 0 for the first buffer */
};

static __always_inline const void *at(const struct window *window, struct packet *packet,
                                      __u32 offset, __u32 size)
{
    if (offset <= MESH_HEADER_WINDOW - size) {
        const void *place = window->start + offset;
        if (window->copied ? offset + size <= window->copied : place + size <= window->end)
            return place;
    }
    packet->flags |= PACKET_CUT;
    return NULL;
}

/* The transport header: ports, and whether it opens a connection. */
static __always_inline void read_transport(const struct window *window, struct packet *packet,
                                           __u32 offset, __u32 end, __u8 protocol, bool fragment)
{
    if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
        return;
    const __u16 *ports = offset + 4 <= end ? at(window, packet, offset, 4) : NULL;
    if (!ports) {
        packet->reason = MESH_PASS_MALFORMED;
        return;
    }
    packet->port = ports[1];
    packet->protocol = protocol;
    packet->flags |= PACKET_PORTS;
    if (protocol == IPPROTO_UDP)
        return;
    const __u32 size = TCP_FLAGS_BYTE + 1;
    const __u8 *tcp = offset + size <= end ? at(window, packet, offset, size) : NULL;
    if (!tcp) {
        packet->flags |= PACKET_SYN;
        if (!fragment)
            packet->reason = MESH_PASS_MALFORMED;
    } else if ((tcp[TCP_FLAGS_BYTE] & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
        packet->flags |= PACKET_SYN;
    }
}

static __always_inline void set_mapped(struct mesh_address *address, __u32 v4)
{
    address->words[2] = bpf_htonl(0xffff);
    address->words[3] = v4;
}

static __always_inline void read_ip4(const struct window *window, struct packet *packet,
                                     __u32 offset)
{
    const struct iphdr *ip = at(window, packet, offset, sizeof(*ip));
    packet->reason = MESH_PASS_MALFORMED;
    if (!ip || ip->version != 4 || ip->ihl < 5)
        return;
    __u32 header = ip->ihl * 4, total = bpf_ntohs(ip->tot_len);
    if (total < header)
        return;
    set_mapped(&packet->source, ip->saddr);
    set_mapped(&packet->destination, ip->daddr);
    packet->flags |= PACKET_SOURCE;
    __u16 fragment = bpf_ntohs(ip->frag_off);
    if (fragment & IP4_OFFSET_MASK) {
        packet->reason = MESH_PASS_FRAGMENT;
        return;
    }
    packet->reason = MESH_PASS_CLEAN;
    read_transport(window, packet, offset + header, offset + total, ip->protocol,
                   fragment & IP4_MORE_FRAGMENTS);
}

/* One step along the extension headers (RFC 8200 section 4). Returns false at the chain's end. */
struct chain {
    __u32 offset;
    __u32 end;
    __u8 next;
    bool fragment;
};

enum chain_step { CHAIN_GOES_ON, CHAIN_TRANSPORT, CHAIN_DONE };

static __always_inline enum chain_step follow(const struct window *window, struct packet *packet,
                                              struct chain *chain)
{
    __u8 kind = chain->next;
    bool fragment = kind == IPPROTO_FRAGMENT;
    switch (kind) {
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_DSTOPTS:
    case IPPROTO_FRAGMENT:
    case IPPROTO_AH:
    case IPPROTO_MH:
    case 139: /* HIP, RFC 7401 */
    case 140: /* Shim6, RFC 5533 */
        break;
    default:
        return CHAIN_TRANSPORT;
    }
    /* Every extension header is 8 bytes at least. */
    const __u8 *header = chain->offset + 8 <= chain->end ? at(window, packet, chain->offset, 8)
                                                         : NULL;
    if (!header) {
        packet->reason = MESH_PASS_MALFORMED;
        return CHAIN_DONE;
    }
    chain->next = header[0];
    if (fragment) {
        __u16 field = (__u16)header[2] << 8 | header[3];
        chain->offset += 8;
        if (field & IP6_OFFSET_MASK) {
            packet->reason = MESH_PASS_FRAGMENT;
            return CHAIN_DONE;
        }
        chain->fragment = field & IP6_MORE_FRAGMENTS;
    } else {
        chain->offset += kind == IPPROTO_AH ? (header[1] + 2) * 4 : (header[1] + 1) * 8;
    }
    /* What hides its ports behind the window could slip by a listener's block. */
    if (chain->offset > MESH_HEADER_WINDOW - TCP_FLAGS_BYTE - 1) {
        packet->reason = MESH_DROP_HEADER_CHAIN;
        return CHAIN_DONE;
    }
    return CHAIN_GOES_ON;
}

static __always_inline void read_ip6(const struct window *window, struct packet *packet,
                                     __u32 offset)
{
    const struct ipv6hdr *ip = at(window, packet, offset, sizeof(*ip));
    packet->reason = MESH_PASS_MALFORMED;
    if (!ip || ip->version != 6)
        return;
    __builtin_memcpy(&packet->source, &ip->saddr, sizeof(packet->source));
    __builtin_memcpy(&packet->destination, &ip->daddr, sizeof(packet->destination));
    packet->flags |= PACKET_SOURCE;
    packet->reason = MESH_PASS_CLEAN;
    __u32 payload = bpf_ntohs(ip->payload_len);
    struct chain chain = {.offset = offset + sizeof(*ip), .next = ip->nexthdr};
    /* A jumbogram (RFC 2675) gives its length in an option: its end is the frame's. */
    chain.end = !payload && chain.next == IPPROTO_HOPOPTS ? ~0u : chain.offset + payload;
    for (int count = 0; count <= EXTENSION_HEADERS_MAX; count++) {
        enum chain_step step = follow(window, packet, &chain);
        if (step == CHAIN_TRANSPORT)
            read_transport(window, packet, chain.offset, chain.end, chain.next, chain.fragment);
        if (step != CHAIN_GOES_ON)
            return;
    }
    packet->reason = MESH_DROP_HEADER_CHAIN;
}

static __always_inline bool is_vlan(__u16 protocol)
{
    return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

static __always_inline void read_frame(const struct window *window, struct packet *packet)
{
    packet->reason = MESH_PASS_MALFORMED;
    const struct ethhdr *ethernet = at(window, packet, 0, sizeof(*ethernet));
    if (!ethernet)
        return;
    __u16 protocol = ethernet->h_proto;
    __u32 offset = sizeof(*ethernet);
    for (int count = 0; count < VLAN_TAGS_MAX && is_vlan(protocol); count++) {
        const __u16 *tag = at(window, packet, offset, 4);
        if (!tag)
            return;
        protocol = tag[1];
        offset += 4;
    }
    if (protocol == bpf_htons(ETH_P_IP))
        read_ip4(window, packet, offset);
    else if (protocol == bpf_htons(ETH_P_IPV6))
        read_ip6(window, packet, offset);
    else
        packet->reason = is_vlan(protocol) ? MESH_PASS_VLAN_DEPTH : MESH_PASS_NOT_IP;
}

/* Global, so that the verifier proves it once and not once for every path that leads here. */
__noinline int read_first_buffer(struct xdp_md *ctx, struct packet *packet)
{
    if (!packet)
        return 0;
    struct window window = {.start = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
    read_frame(&window, packet);
    return 0;
}

/* For a frame in many buffers of which the first does not hold all headers. */
__noinline int read_copy(struct xdp_md *ctx, struct packet *packet)
{
    __u32 zero = 0;
    struct header_copy *copy = bpf_map_lookup_elem(&header_copies, &zero);
    __u64 size = bpf_xdp_get_buff_len(ctx);
    if (!packet || !copy || size < ETH_HLEN)
        return 0;
    if (size > MESH_HEADER_WINDOW)
        size = MESH_HEADER_WINDOW;
    if (bpf_xdp_load_bytes(ctx, 0, copy->bytes, size))
        return 0;
    struct window window = {.start = copy->bytes, .copied = size};
    __builtin_memset(packet, 0, sizeof(*packet));
    read_frame(&window, packet);
    return 0;
}
