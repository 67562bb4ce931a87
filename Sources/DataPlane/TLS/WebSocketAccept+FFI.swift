import COpenSSL

/// The answer to a client's WebSocket handshake over HTTP/1.1, where the endpoint has agreed over
/// HTTP/2, whose handshake has no key (RFC 8441 section 5).
enum WebSocketAccept {
    private static let guid = Array("258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)

    /// The value of `sec-websocket-accept` (RFC 6455 section 4.2.2).
    ///
    /// - Parameter key: the value of `sec-websocket-key`.
    static func value(_ key: RawSpan) -> [UInt8] {
        var text: [UInt8] = []
        for offset in 0..<key.byteCount { text.append(key.byte(at: offset)) }
        text += guid
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard unsafe EVP_Digest(text, text.count, &digest, &count, EVP_sha1(), nil) == 1 else {
            return []
        }
        var encoded = [UInt8](repeating: 0, count: 4 * Int(EVP_MAX_MD_SIZE))
        let length = unsafe EVP_EncodeBlock(&encoded, digest, Int32(count))
        return Array(encoded.prefix(Int(length)))
    }
}
