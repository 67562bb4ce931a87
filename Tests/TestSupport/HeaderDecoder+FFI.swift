import CNghttp2

/// Decodes header blocks, one connection's in order (RFC 7541).
@safe package final class HeaderDecoder {
    private var inflater: OpaquePointer?

    /// Makes a decoder with an empty table.
    package init() { _ = unsafe nghttp2_hd_inflate_new(&inflater) }

    deinit { unsafe nghttp2_hd_inflate_del(inflater) }

    /// The fields of one block as `name: value`; `nil` when it is broken.
    package func decode(_ block: [UInt8]) -> [String]? {
        var fields: [String] = []
        var rest = block
        while true {
            var field = unsafe nghttp2_nv()
            var flags: Int32 = 0
            let taken = unsafe rest.withUnsafeBufferPointer { bytes in
                unsafe nghttp2_hd_inflate_hd2(
                    inflater,
                    &field,
                    &flags,
                    bytes.baseAddress,
                    bytes.count,
                    1
                )
            }
            guard taken >= 0 else { return nil }
            rest.removeFirst(Int(taken))
            if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) != 0 {
                fields.append(unsafe HeaderDecoder.text(field))
            } else if flags & Int32(NGHTTP2_HD_INFLATE_FINAL.rawValue) != 0 {
                _ = unsafe nghttp2_hd_inflate_end_headers(inflater)
                return fields
            }
        }
    }

    private static func text(_ field: nghttp2_nv) -> String {
        let name = unsafe UnsafeBufferPointer(start: field.name, count: field.namelen)
        let value = unsafe UnsafeBufferPointer(start: field.value, count: field.valuelen)
        return unsafe String(decoding: name, as: UTF8.self) + ": "
            + String(decoding: value, as: UTF8.self)
    }
}
