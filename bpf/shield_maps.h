/* The maps of the shield. Names are the pins' names. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "include/mesh_maps.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct mesh_config);
} config SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct mesh_writer);
} writer SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, MESH_REASON_COUNT);
    __type(key, __u32);
    __type(value, struct mesh_tally);
} reasons SEC(".maps");

/* Plain, not LRU: a block holds until it ends, however many others are asked for. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, MESH_BLOCKS_MAX);
    __type(key, struct mesh_block_key);
    __type(value, struct mesh_block);
} blocks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, MESH_PREFIX_BLOCKS_MAX);
    __type(key, struct mesh_prefix);
    __type(value, struct mesh_block);
} block_prefixes SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, MESH_ALLOW_MAX);
    __type(key, struct mesh_prefix);
    __type(value, struct mesh_allow);
} allow SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, MESH_DENY_MAX);
    __type(key, struct mesh_prefix);
    __type(value, struct mesh_deny);
} deny SEC(".maps");

/* One bit for each IPv4 /24: whether some entry of `deny` touches it. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, MESH_DENY_FILTER_WORDS);
    __type(key, __u32);
    __type(value, __u64);
} deny_filter4 SEC(".maps");

/* The same for the hash of an IPv6 /32. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, MESH_DENY_FILTER_WORDS);
    __type(key, __u32);
    __type(value, __u64);
} deny_filter6 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, MESH_DESTINATIONS_MAX);
    __type(key, struct mesh_destination_key);
    __type(value, struct mesh_destination);
} destinations SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, MESH_SOURCES_MAX);
    __type(key, struct mesh_address);
    __type(value, struct mesh_source);
} sources SEC(".maps");

/* What each SourcePolicy dropped, or would have. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, MESH_POLICIES_MAX);
    __type(key, __u64);
    __type(value, struct mesh_tally);
} policies SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, MESH_EVENT_BYTES_MAX);
} events SEC(".maps");

/*
 * Where the headers of a frame go whose first buffer does not hold them all. The slack is for the
 * verifier alone, which does not see that the bytes copied bound every read.
 */
struct header_copy {
    __u8 bytes[MESH_HEADER_WINDOW + 64];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct header_copy);
} header_copies SEC(".maps");
