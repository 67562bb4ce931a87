/// Recognition of a name by its length and words in lower case. Constants are the name's bytes, the
/// first in the lowest bits; a name longer than 8 is checked by words that overlap at its end.
extension HeaderID {
    /// Recognises the token of `count` bytes at `offset`, without regard to case.
    @inline(__always)
    package static func identify(_ bytes: RawSpan, offset: Int, count: Int) -> HeaderID {
        guard count >= 2 && count <= 24 else { return .other }
        let first = bytes.word(at: offset) | ByteScan.caseBits
        if count <= 8 {
            return short(first & (UInt64.max >> UInt64(64 &- count &* 8)))
        }
        let last = bytes.word(at: offset &+ count &- 8) | ByteScan.caseBits
        if count <= 16 { return medium(count, first, last) }
        return long(count, first, bytes.word(at: offset &+ 8) | ByteScan.caseBits, last)
    }

    @inline(__always)
    private static func short(_ word: UInt64) -> HeaderID {
        switch word {
        case 0x0000_0000_0000_6574: .te
        case 0x0000_0000_0061_6976: .via
        case 0x0000_0000_0065_6761: .age
        case 0x0000_0000_7473_6f68: .host
        case 0x0000_0000_6574_6164: .date
        case 0x0000_0000_6761_7465: .etag
        case 0x0000_0000_7972_6176: .vary
        case 0x0000_0000_6b6e_696c: .link
        case 0x0000_0065_676e_6172: .range
        case 0x0000_0077_6f6c_6c61: .allow
        case 0x0000_7463_6570_7865: .expect
        case 0x0000_7470_6563_6361: .accept
        case 0x0000_7265_7672_6573: .server
        case 0x0000_6569_6b6f_6f63: .cookie
        case 0x0000_6e69_6769_726f: .origin
        case 0x0000_616d_6761_7270: .pragma
        case 0x0065_6461_7267_7075: .upgrade
        case 0x0072_656c_6961_7274: .trailer
        case 0x0072_6572_6566_6572: .referer
        case 0x0073_6572_6970_7865: .expires
        case 0x6e6f_6974_6163_6f6c: .location
        default: .other
        }
    }

    @inline(__always)
    private static func medium(_ count: Int, _ first: UInt64, _ last: UInt64) -> HeaderID {
        switch count {
        case 9:
            switch (first, last) {
            case (0x692d_6c61_6572_2d78, 0x7069_2d6c_6165_722d): .xRealIP
            case (0x6564_7261_7772_6f66, 0x6465_6472_6177_726f): .forwarded
            default: .other
            }
        case 10:
            switch (first, last) {
            case (0x6974_6365_6e6e_6f63, 0x6e6f_6974_6365_6e6e): .connection
            case (0x696c_612d_7065_656b, 0x6576_696c_612d_7065): .keepAlive
            case (0x6567_612d_7265_7375, 0x746e_6567_612d_7265): .userAgent
            case (0x6b6f_6f63_2d74_6573, 0x6569_6b6f_6f63_2d74): .setCookie
            case (0x6174_7365_6361_7274, 0x6574_6174_7365_6361): .tracestate
            default: .other
            }
        case 11:
            switch (first, last) {
            case (0x6661_2d79_7274_6572, 0x7265_7466_612d_7972): .retryAfter
            case (0x7261_7065_6361_7274, 0x746e_6572_6170_6563): .traceparent
            default: .other
            }
        case 12:
            switch (first, last) {
            case (0x7365_7571_6572_2d78, 0x6469_2d74_7365_7571): .xRequestID
            case (0x2d74_6e65_746e_6f63, 0x6570_7974_2d74_6e65): .contentType
            default: .other
            }
        case 13:
            switch (first, last) {
            case (0x722d_7470_6563_6361, 0x7365_676e_6172_2d74): .acceptRanges
            case (0x2d74_6e65_746e_6f63, 0x6567_6e61_722d_746e): .contentRange
            case (0x7a69_726f_6874_7561, 0x6e6f_6974_617a_6972): .authorization
            case (0x6f63_2d65_6863_6163, 0x6c6f_7274_6e6f_632d): .cacheControl
            case (0x646f_6d2d_7473_616c, 0x6465_6966_6964_6f6d): .lastModified
            case (0x2d65_6e6f_6e2d_6669, 0x6863_7461_6d2d_656e): .ifNoneMatch
            default: .other
            }
        case 14:
            switch (first, last) {
            case (0x2d74_6e65_746e_6f63, 0x6874_676e_656c_2d74): .contentLength
            case (0x6573_2d32_7074_7468, 0x7367_6e69_7474_6573): .http2Settings
            case (0x6374_6566_2d63_6573, 0x6564_6f6d_2d68_6374): .secFetchMode
            case (0x6374_6566_2d63_6573, 0x6574_6973_2d68_6374): .secFetchSite
            case (0x6374_6566_2d63_6573, 0x7473_6564_2d68_6374): .secFetchDest
            default: .other
            }
        case 15:
            switch (first, last) {
            case (0x7261_7772_6f66_2d78, 0x726f_662d_6465_6472): .xForwardedFor
            case (0x652d_7470_6563_6361, 0x676e_6964_6f63_6e65): .acceptEncoding
            case (0x6c2d_7470_6563_6361, 0x6567_6175_676e_616c): .acceptLanguage
            default: .other
            }
        case 16:
            switch (first, last) {
            case (0x6f63_2d79_786f_7270, 0x6e6f_6974_6365_6e6e): .proxyConnection
            case (0x7261_7772_6f66_2d78, 0x7473_6f68_2d64_6564): .xForwardedHost
            case (0x7261_7772_6f66_2d78, 0x7472_6f70_2d64_6564): .xForwardedPort
            case (0x2d74_6e65_746e_6f63, 0x676e_6964_6f63_6e65): .contentEncoding
            case (0x6874_7561_2d77_7777, 0x6574_6163_6974_6e65): .wwwAuthenticate
            default: .other
            }
        default: .other
        }
    }

    @inline(__always)
    private static func long(
        _ count: Int,
        _ first: UInt64,
        _ middle: UInt64,
        _ last: UInt64
    ) -> HeaderID {
        switch count {
        case 17:
            switch (first, middle, last) {
            case (0x7265_6673_6e61_7274, 0x6e69_646f_636e_652d, 0x676e_6964_6f63_6e65):
                .transferEncoding
            case (0x7261_7772_6f66_2d78, 0x746f_7270_2d64_6564, 0x6f74_6f72_702d_6465):
                .xForwardedProto
            case (0x6669_646f_6d2d_6669, 0x636e_6973_2d64_6569, 0x6563_6e69_732d_6465):
                .ifModifiedSince
            default: .other
            }
        case 18:
            switch (first, middle, last) {
            case (0x7561_2d79_786f_7270, 0x6163_6974_6e65_6874, 0x6574_6163_6974_6e65):
                .proxyAuthenticate
            default: .other
            }
        case 19:
            switch (first, middle, last) {
            case (0x7561_2d79_786f_7270, 0x7461_7a69_726f_6874, 0x6e6f_6974_617a_6972):
                .proxyAuthorization
            default: .other
            }
        default: .other
        }
    }
}
