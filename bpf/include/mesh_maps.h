/*
 * The packet layer's maps as the BPF programs and user space both see them: the one definition of
 * every key, value and reason. Compiled freestanding for BPF, imported by Swift as CMeshMaps.
 *
 * Integers are in host byte order unless the comment says "network". Times are CLOCK_MONOTONIC
 * nanoseconds unless the comment says "wall".
 */
#pragma once

#include <stdint.h>

/*
 * Changes with every incompatible change of a key or value below. Pins live under it. A struct
 * mesh_block may grow at its end only: blocks are copied byte for byte into the next layout.
 */
#define MESH_LAYOUT_VERSION 1

/* Capacities. Memory is taken as entries are made, except where the comment says so. */
#define MESH_BLOCKS_MAX 65536       /* 1.4 KiB each: 90 MiB when full */
#define MESH_PREFIX_BLOCKS_MAX 4096 /* operators only */
#define MESH_DENY_MAX 1048576       /* 130 bytes each */
#define MESH_ALLOW_MAX 65536        /* every protected pod, node and next hop has one */
#define MESH_DESTINATIONS_MAX 16384 /* node addresses times listeners */
#define MESH_SOURCES_MAX 65536      /* taken at load: 8 MiB; the least recently used gives way */
#define MESH_POLICIES_MAX 1024
#define MESH_EVENT_BYTES_MAX 1048576 /* taken at load; power of two */
#define MESH_SCOPES_PER_DESTINATION_MAX 4
#define MESH_DENY_FILTER_WORDS 262144 /* 2^24 bits, taken at load: 2 MiB for each family */
#define MESH_BLOCK_TEXT_BYTES 1312

/* Headers are read within this many bytes of the frame's start. */
#define MESH_HEADER_WINDOW 256

/* What became of a packet. Every packet counts under exactly one. */
enum mesh_reason {
    MESH_PASS_CLEAN = 0,      /* nothing against it */
    MESH_PASS_NOT_IP = 1,     /* neither IPv4 nor IPv6 */
    MESH_PASS_ALLOWED = 2,    /* would have been dropped, but its source is allowed */
    MESH_PASS_MALFORMED = 3,  /* a header is cut short or contradicts itself; the stack refuses it */
    MESH_PASS_VLAN_DEPTH = 4, /* more than two VLAN tags: not looked into */
    MESH_PASS_FRAGMENT = 5,   /* a later fragment: no ports, only its source was checked */
    MESH_PASS_DRY_RUN = 6,    /* would have been dropped, but what says so only counts */
    MESH_DROP_BLOCK_NODE = 7,
    MESH_DROP_BLOCK_GATEWAY = 8,
    MESH_DROP_BLOCK_LISTENER = 9,
    MESH_DROP_BLOCK_PREFIX = 10,
    MESH_DROP_DENY = 11,
    MESH_DROP_PACKET_RATE = 12,
    MESH_DROP_SYN_RATE = 13,
    MESH_DROP_HEADER_CHAIN = 14, /* IPv6 extension headers too many or too long to be looked through */
    MESH_REASON_COUNT = 15,
    MESH_DROP_FIRST = MESH_DROP_BLOCK_NODE,
};

/* An address in network byte order; IPv4 in its mapped form (::ffff:a.b.c.d). */
struct mesh_address {
    uint32_t words[4];
};

/* Packets and bytes, added to by the programs. */
struct mesh_tally {
    uint64_t packets;
    uint64_t bytes;
};

/*
 * Key of `blocks`. The scope is 0 for the node; else it names a listener's port or a Gateway by a
 * hash that user space makes and that holds across restarts.
 */
struct mesh_block_key {
    uint64_t scope;
    struct mesh_address source;
};

enum mesh_entry_flag {
    MESH_ENTRY_DRY_RUN = 1, /* count, and pass */
};

/* The part of a block that the programs read and write: one cache line. */
struct mesh_block_head {
    struct mesh_tally tally;
    uint64_t expires_ns; /* 0: never */
    uint32_t flags;
    uint16_t port; /* of the listener scope; else 0 */
    uint16_t text_bytes;
    uint64_t since_wall_ns;
    uint64_t writer; /* generation of the agent that wrote it */
    uint8_t reserved[16];
};

/*
 * Value of `blocks` and `block_prefixes`. One update carries all that is known of a block, so that
 * there is no moment at which packets are dropped and nobody can say why.
 */
struct mesh_block {
    struct mesh_block_head head;
    /* Scope, owner, destinations and reason, each field ended by a zero byte. */
    uint8_t text[MESH_BLOCK_TEXT_BYTES];
};

/*
 * Key of the prefix tries. The family (4 or 6) counts as the first 32 bits of every prefix. What
 * follows the bit count is a multiple of 8 bytes, for the kernel puts the value right behind it: an
 * atomic addition across two cache lines costs over a microsecond.
 */
struct mesh_prefix {
    uint32_t bit_count;
    uint32_t family;
    uint32_t words[4]; /* network byte order; IPv4 in the first alone */
    uint32_t reserved;
};

/* Value of `allow`. */
struct mesh_allow {
    uint32_t kind; /* 1: by a SourcePolicy, 2: protected */
};

/* Value of `deny`. */
struct mesh_deny {
    struct mesh_tally tally;
    uint64_t expires_ns; /* 0: never */
    uint64_t ttl_ns;     /* as asked for; 0: none */
    uint64_t policy;
    uint32_t flags;
    uint32_t reserved;
};

/* Key of `destinations`. Port and protocol 0: the address itself, which is this node's. */
struct mesh_destination_key {
    struct mesh_address address;
    uint16_t port; /* network byte order */
    uint8_t protocol;
    uint8_t reserved;
};

/* A Gateway that listens on a destination, as scopes of blocks. */
struct mesh_destination_scope {
    uint64_t listener;
    uint64_t gateway;
};

/* Value of `destinations`. */
struct mesh_destination {
    uint32_t count;
    uint32_t reserved;
    struct mesh_destination_scope scopes[MESH_SCOPES_PER_DESTINATION_MAX];
};

/* A token bucket. Tokens may go below zero; a refill lifts them from zero at least. */
struct mesh_bucket {
    uint64_t refilled_ns;
    int64_t tokens;
};

/* Value of `sources`: what was seen of one source. One cache line. */
struct mesh_source {
    struct mesh_tally seen;
    uint64_t drops;
    uint64_t syns;
    struct mesh_bucket packet_bucket;
    struct mesh_bucket syn_bucket;
};

enum mesh_config_flag {
    MESH_CONFIG_ALLOW = 1,            /* `allow` has entries */
    MESH_CONFIG_DENY = 2,             /* `deny` has entries */
    MESH_CONFIG_PREFIX_BLOCKS = 4,    /* `block_prefixes` has entries */
    MESH_CONFIG_SOURCES = 8,          /* keep `sources` */
    MESH_CONFIG_DENY_WIDE_V4 = 16,    /* `deny` has prefixes that the filter cannot hold */
    MESH_CONFIG_DENY_WIDE_V6 = 32,
    MESH_CONFIG_NODE_BLOCKS = 64,     /* `blocks` has entries at node scope */
    MESH_CONFIG_GATEWAY_BLOCKS = 128, /* `blocks` has entries at Gateway scope */
};

/* A rate that one source may reach. */
struct mesh_rate {
    uint64_t nanoseconds_per_token; /* 0: no limit */
    int64_t burst;
    uint64_t policy;
    uint32_t flags;
    uint32_t reserved;
};

/* The one value of `config`. */
struct mesh_config {
    uint32_t flags;
    uint32_t sample_mask; /* one event in mask + 1 drops of a reason on a core; all ones: none */
    struct mesh_rate packet_rate;
    struct mesh_rate syn_rate;
};

/* The one value of `writer`: who may write. */
struct mesh_writer {
    uint64_t generation;
    uint64_t applied_version;
};

/* A record of the `events` ring. */
struct mesh_event {
    uint64_t time_ns;
    struct mesh_address source;
    struct mesh_address destination;
    uint16_t port; /* network byte order; 0 where there is none */
    uint8_t protocol;
    uint8_t reason;
    uint32_t byte_count;
};

_Static_assert(sizeof(struct mesh_block_key) == 24, "no padding");
_Static_assert((sizeof(struct mesh_prefix) - 4) % 8 == 0, "values of tries are aligned");
_Static_assert(sizeof(struct mesh_block_head) == 64, "one cache line");
_Static_assert(sizeof(struct mesh_block) == 64 + MESH_BLOCK_TEXT_BYTES, "no padding");
_Static_assert(sizeof(struct mesh_destination_key) == 20, "no padding");
_Static_assert(sizeof(struct mesh_source) == 64, "one cache line");
_Static_assert(sizeof(struct mesh_deny) == 48, "no padding");
_Static_assert(sizeof(struct mesh_event) == 48, "no padding");
