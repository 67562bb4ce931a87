/// What a request wants its connection to become once the endpoint agrees: bytes that flow both ways
/// as they come.
enum Tunnel: UInt8, BitwiseCopyable {
    /// Nothing: a plain request.
    case none
    /// WebSocket by `Upgrade` (RFC 6455 section 4.1).
    case upgrade
    /// CONNECT (RFC 9110 section 9.3.6).
    case connect
    /// WebSocket by extended CONNECT over HTTP/2 (RFC 8441).
    case extendedConnect
}
