#ifndef MARTLET_BYTE_SCAN_H
#define MARTLET_BYTE_SCAN_H

/*
 * Looks at 16 bytes at once, which Swift's SIMD types do not do well (a compare is a loop there).
 * GCC's vector extensions: one instruction a line on x86-64 and a few on arm64. No byte outside the
 * 16 is read. A set bit n of a result is byte n.
 */

#include <stdint.h>

typedef signed char bytescan_vector __attribute__((vector_size(16), aligned(1), may_alias));

static inline uint32_t bytescan_mask(bytescan_vector lanes) {
#if defined(__SSE2__)
    typedef char plain __attribute__((vector_size(16)));
    return (uint32_t)__builtin_ia32_pmovmskb128((plain)lanes);
#else
    /* Other machines have no such instruction; compilers make a few of this. */
    uint32_t mask = 0;
    for (int lane = 0; lane < 16; lane++) mask |= (uint32_t)(lanes[lane] & 1) << lane;
    return mask;
#endif
}

/* Bytes below 0x20 other than TAB, and DEL. */
static inline uint32_t bytescan_controls(const void *bytes) {
    bytescan_vector v = *(const bytescan_vector *)bytes;
    bytescan_vector low = (v < 0x20) & (v >= 0) & (v != 0x09);
    return bytescan_mask(low | (v == 0x7f));
}

/* Colons. */
static inline uint32_t bytescan_colons(const void *bytes) {
    bytescan_vector v = *(const bytescan_vector *)bytes;
    return bytescan_mask(v == ':');
}

/* Bytes other than letters, digits, dashes and dots. */
static inline uint32_t bytescan_not_host(const void *bytes) {
    bytescan_vector v = *(const bytescan_vector *)bytes;
    bytescan_vector letter = v | 0x20;
    bytescan_vector host = ((letter > 0x60) & (letter < 0x7b)) | ((v > 0x2f) & (v < 0x3a)) |
                           (v == '-') | (v == '.');
    return bytescan_mask(~host);
}

/* Question marks, dots, percent signs and backslashes. */
static inline uint32_t bytescan_notable(const void *bytes) {
    bytescan_vector v = *(const bytescan_vector *)bytes;
    return bytescan_mask((v == '?') | (v == '.') | (v == '%') | (v == '\\'));
}

/* Whether count bytes are the same. The last 16 overlap those before them. */
static inline int bytescan_equal(const void *left, const void *right, long count) {
    const char *a = left, *b = right;
    if (count < 16) return __builtin_memcmp(a, b, (unsigned long)count) == 0;
    long at = 0;
    for (; at + 64 <= count; at += 64) {
        const bytescan_vector *l = (const bytescan_vector *)(a + at);
        const bytescan_vector *r = (const bytescan_vector *)(b + at);
        bytescan_vector same = (l[0] == r[0]) & (l[1] == r[1]) & (l[2] == r[2]) & (l[3] == r[3]);
        if (bytescan_mask(same) != 0xffff) return 0;
    }
    for (; at < count - 16; at += 16) {
        bytescan_vector same = *(const bytescan_vector *)(a + at) ==
                               *(const bytescan_vector *)(b + at);
        if (bytescan_mask(same) != 0xffff) return 0;
    }
    bytescan_vector same = *(const bytescan_vector *)(a + count - 16) ==
                           *(const bytescan_vector *)(b + count - 16);
    return bytescan_mask(same) == 0xffff;
}

typedef uint32_t bytescan_quad __attribute__((vector_size(16), aligned(1), may_alias));

/* Copies records of 16 bytes, and adds delta to the first two words of each. */
static inline void bytescan_shift(void *to, const void *from, long count, uint32_t delta) {
    bytescan_quad add = {delta, delta, 0, 0};
    for (long at = 0; at < count; at++) {
        ((bytescan_quad *)to)[at] = ((const bytescan_quad *)from)[at] + add;
    }
}

/* Bytes outside 0x20...0x7e, quotes and backslashes: what JSON text must escape, and obs-text. */
static inline uint32_t bytescan_escaped(const void *bytes) {
    bytescan_vector v = *(const bytescan_vector *)bytes;
    return bytescan_mask((v < 0x20) | (v == 0x7f) | (v == '"') | (v == '\\'));
}

#endif
