/*
 * The shield: drops what blocks, deny lists and rates say, and counts what became of every packet.
 *
 * Order: blocks, deny prefixes, rates; an allowed source is spared by asking the allow list last,
 * only for what would be dropped, so that good traffic never pays for it.
 */
#include "packet.h"

const char shield_license[] SEC("license") = "Dual BSD/GPL";

/* What has been decided of a packet so far. */
struct judgement {
    __u32 reason;
    __u64 policy;             /* the SourcePolicy that decided; 0: none */
    struct mesh_tally *tally; /* of the entry that decided; NULL: none */
    __u64 now_ns;             /* 0 until something needed the time */
};

/* Reads the clock once, and only when asked: it is a large share of a packet's cost. */
static __always_inline __u64 now(struct judgement *judgement)
{
    if (!judgement->now_ns)
        judgement->now_ns = bpf_ktime_get_coarse_ns();
    return judgement->now_ns;
}

static __always_inline bool holds(__u64 expires_ns, struct judgement *judgement)
{
    return !expires_ns || expires_ns > now(judgement);
}

/* Takes a finding into the judgement. Returns whether it settles the packet. */
static __always_inline bool settle(struct judgement *judgement, __u32 reason, __u32 flags,
                                   __u64 policy, struct mesh_tally *tally)
{
    if (flags & MESH_ENTRY_DRY_RUN) {
        if (judgement->reason != MESH_PASS_DRY_RUN) {
            judgement->reason = MESH_PASS_DRY_RUN;
            judgement->policy = policy;
            judgement->tally = tally;
        }
        return false;
    }
    judgement->reason = reason;
    judgement->policy = policy;
    judgement->tally = tally;
    return true;
}

static __always_inline struct mesh_block *find_block(const struct packet *packet, __u64 scope)
{
    struct mesh_block_key key = {.scope = scope, .source = packet->source};
    return bpf_map_lookup_elem(&blocks, &key);
}

static __always_inline bool settle_block(struct judgement *judgement, struct mesh_block *block,
                                         __u32 reason)
{
    return block && holds(block->head.expires_ns, judgement)
           && settle(judgement, reason, block->head.flags, 0, &block->head.tally);
}

static __always_inline struct mesh_destination *find_destination(const struct packet *packet,
                                                                 bool with_port)
{
    struct mesh_destination_key key = {.address = packet->destination};
    if (with_port) {
        key.port = packet->port;
        key.protocol = packet->protocol;
    }
    return bpf_map_lookup_elem(&destinations, &key);
}

static __always_inline struct mesh_prefix prefix_key(const struct mesh_address *address, bool v4)
{
    struct mesh_prefix key = {};
    if (v4) {
        key.bit_count = 64;
        key.family = 4;
        key.words[0] = address->words[3];
    } else {
        key.bit_count = 160;
        key.family = 6;
        __builtin_memcpy(key.words, address->words, sizeof(key.words));
    }
    return key;
}

static __always_inline bool is_v4(const struct mesh_address *address)
{
    return !address->words[0] && !address->words[1] && address->words[2] == bpf_htonl(0xffff);
}

static __always_inline bool judge_blocks(const struct mesh_config *settings,
                                         const struct packet *packet, struct judgement *judgement)
{
    struct mesh_block *block;
    if (settings->flags & MESH_CONFIG_NODE_BLOCKS) {
        block = find_block(packet, 0);
        if (block && find_destination(packet, false)
            && settle_block(judgement, block, MESH_DROP_BLOCK_NODE))
            return true;
    }
    if (settings->flags & MESH_CONFIG_PREFIX_BLOCKS) {
        struct mesh_prefix key = prefix_key(&packet->source, is_v4(&packet->source));
        block = bpf_map_lookup_elem(&block_prefixes, &key);
        if (block && find_destination(packet, false)
            && settle_block(judgement, block, MESH_DROP_BLOCK_PREFIX))
            return true;
    }
    if (!(packet->flags & PACKET_PORTS))
        return false;
    struct mesh_destination *destination = find_destination(packet, true);
    if (!destination)
        return false;
    for (__u32 index = 0; index < MESH_SCOPES_PER_DESTINATION_MAX; index++) {
        if (index >= destination->count)
            break;
        struct mesh_destination_scope *scope = &destination->scopes[index];
        if (settings->flags & MESH_CONFIG_GATEWAY_BLOCKS
            && settle_block(judgement, find_block(packet, scope->gateway),
                            MESH_DROP_BLOCK_GATEWAY))
            return true;
        if (settle_block(judgement, find_block(packet, scope->listener), MESH_DROP_BLOCK_LISTENER))
            return true;
    }
    return false;
}

/* Whether some deny prefix may touch the source: a cold trie costs more than the stack does. */
static __always_inline bool may_be_denied(const struct mesh_config *settings,
                                          const struct mesh_address *source, bool v4)
{
    if (settings->flags & (v4 ? MESH_CONFIG_DENY_WIDE_V4 : MESH_CONFIG_DENY_WIDE_V6))
        return true;
    __u32 bit = bpf_ntohl(source->words[v4 ? 3 : 0]);
    bit = v4 ? bit >> 8 : (bit * 2654435761u) >> 8;
    __u32 index = bit >> 6;
    __u64 *word = v4 ? bpf_map_lookup_elem(&deny_filter4, &index)
                     : bpf_map_lookup_elem(&deny_filter6, &index);
    return word && *word >> (bit & 63) & 1;
}

static __always_inline bool judge_deny(const struct mesh_config *settings,
                                       const struct packet *packet, struct judgement *judgement)
{
    bool v4 = is_v4(&packet->source);
    if (!(settings->flags & MESH_CONFIG_DENY) || !may_be_denied(settings, &packet->source, v4))
        return false;
    struct mesh_prefix key = prefix_key(&packet->source, v4);
    struct mesh_deny *entry = bpf_map_lookup_elem(&deny, &key);
    return entry && holds(entry->expires_ns, judgement)
           && settle(judgement, MESH_DROP_DENY, entry->flags, entry->policy, &entry->tally);
}

/* Takes one token. Whole tokens are refilled by whoever moves the refill time first. */
static __always_inline bool take(struct mesh_bucket *bucket, const struct mesh_rate *rate,
                                 __u64 now_ns)
{
    __u64 refilled_ns = bucket->refilled_ns;
    __u64 elapsed_ns = now_ns - refilled_ns;
    __u64 step_ns = rate->nanoseconds_per_token;
    if (now_ns > refilled_ns && elapsed_ns >= step_ns) {
        __u64 count = elapsed_ns / step_ns;
        __u64 next_ns = refilled_ns + count * step_ns;
        if (__sync_val_compare_and_swap(&bucket->refilled_ns, refilled_ns, next_ns)
            == refilled_ns) {
            __s64 tokens = bucket->tokens < 0 ? 0 : bucket->tokens;
            __s64 room = rate->burst - tokens;
            if (room > 0)
                tokens += (__u64)room < count ? (__u64)room : count;
            else
                tokens = rate->burst;
            bucket->tokens = tokens;
        }
    }
    if (bucket->tokens <= 0)
        return false;
    return __sync_fetch_and_add(&bucket->tokens, -1) > 0;
}

static __always_inline bool judge_rates(const struct mesh_config *settings,
                                        const struct packet *packet, struct mesh_source *source,
                                        struct judgement *judgement)
{
    const struct mesh_rate *packets = &settings->packet_rate;
    const struct mesh_rate *syns = &settings->syn_rate;
    if (packets->nanoseconds_per_token && !take(&source->packet_bucket, packets, now(judgement))
        && settle(judgement, MESH_DROP_PACKET_RATE, packets->flags, packets->policy, NULL))
        return true;
    return packet->flags & PACKET_SYN && syns->nanoseconds_per_token
           && !take(&source->syn_bucket, syns, now(judgement))
           && settle(judgement, MESH_DROP_SYN_RATE, syns->flags, syns->policy, NULL);
}

/* The source's record, made on sight with full buckets. */
static __always_inline struct mesh_source *source_record(const struct mesh_config *settings,
                                                         const struct packet *packet,
                                                         struct judgement *judgement)
{
    if (!(settings->flags & MESH_CONFIG_SOURCES))
        return NULL;
    struct mesh_source *record = bpf_map_lookup_elem(&sources, &packet->source);
    if (record)
        return record;
    struct mesh_source fresh = {};
    fresh.packet_bucket.refilled_ns = now(judgement);
    fresh.packet_bucket.tokens = settings->packet_rate.burst;
    fresh.syn_bucket.refilled_ns = now(judgement);
    fresh.syn_bucket.tokens = settings->syn_rate.burst;
    bpf_map_update_elem(&sources, &packet->source, &fresh, BPF_NOEXIST);
    return bpf_map_lookup_elem(&sources, &packet->source);
}

static __always_inline void judge(const struct mesh_config *settings, const struct packet *packet,
                                  __u64 byte_count, struct judgement *judgement)
{
    struct mesh_source *record = source_record(settings, packet, judgement);
    if (record) {
        __sync_fetch_and_add(&record->seen.packets, 1);
        __sync_fetch_and_add(&record->seen.bytes, byte_count);
        if (packet->flags & PACKET_SYN)
            __sync_fetch_and_add(&record->syns, 1);
    }
    bool settled = packet->reason >= MESH_DROP_FIRST || judge_blocks(settings, packet, judgement)
                   || judge_deny(settings, packet, judgement)
                   || (record && judge_rates(settings, packet, record, judgement));
    if (!settled)
        return;
    if (settings->flags & MESH_CONFIG_ALLOW) {
        struct mesh_prefix key = prefix_key(&packet->source, is_v4(&packet->source));
        if (bpf_map_lookup_elem(&allow, &key)) {
            judgement->reason = MESH_PASS_ALLOWED;
            judgement->policy = 0;
            judgement->tally = NULL;
            return;
        }
    }
    if (record)
        __sync_fetch_and_add(&record->drops, 1);
}

static __always_inline void sample(const struct packet *packet, const struct judgement *judgement,
                                   __u64 byte_count)
{
    struct mesh_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
    if (!event)
        return;
    event->time_ns = judgement->now_ns ? judgement->now_ns : bpf_ktime_get_coarse_ns();
    event->source = packet->source;
    event->destination = packet->destination;
    event->port = packet->port;
    event->protocol = packet->protocol;
    event->reason = judgement->reason;
    event->byte_count = byte_count;
    bpf_ringbuf_submit(event, 0);
}

/* Counts the packet under its reason, its policy and the entry that decided. */
static __always_inline void count(const struct mesh_config *settings, const struct packet *packet,
                                  const struct judgement *judgement, __u64 byte_count)
{
    __u32 reason = judgement->reason;
    struct mesh_tally *total = bpf_map_lookup_elem(&reasons, &reason);
    if (!total)
        return;
    __u64 before = total->packets;
    total->packets = before + 1;
    total->bytes += byte_count;
    if (reason < MESH_DROP_FIRST && reason != MESH_PASS_DRY_RUN)
        return;
    if (judgement->tally) {
        __sync_fetch_and_add(&judgement->tally->packets, 1);
        __sync_fetch_and_add(&judgement->tally->bytes, byte_count);
    }
    struct mesh_tally *policy = NULL;
    if (judgement->policy)
        policy = bpf_map_lookup_elem(&policies, &judgement->policy);
    if (policy) {
        policy->packets++;
        policy->bytes += byte_count;
    }
    if (settings->sample_mask != ~0u && !(before & settings->sample_mask))
        sample(packet, judgement, byte_count);
}

SEC("xdp.frags")
int shield(struct xdp_md *ctx)
{
    __u32 zero = 0;
    const struct mesh_config *settings = bpf_map_lookup_elem(&config, &zero);
    if (!settings)
        return XDP_PASS;
    struct packet packet = {};
    __u64 byte_count = bpf_xdp_get_buff_len(ctx);
    read_first_buffer(ctx, &packet);
    if (packet.flags & PACKET_CUT && byte_count > (__u64)(ctx->data_end - ctx->data))
        read_copy(ctx, &packet);
    struct judgement judgement = {.reason = packet.reason};
    if (packet.flags & PACKET_SOURCE)
        judge(settings, &packet, byte_count, &judgement);
    count(settings, &packet, &judgement, byte_count);
    return judgement.reason >= MESH_DROP_FIRST ? XDP_DROP : XDP_PASS;
}
