/// Requests that the proxy answers by their method alone.
extension HTTPProxy {
    /// What `Allow` names (RFC 9110 section 10.2.1).
    private static let allowed = LocalReply.Field(
        "allow",
        "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    )

    /// Goes on with a request whose target is no path, or whose method is TRACE.
    ///
    /// `OPTIONS *` asks about this server, not about what it routes to, and TRACE would show a
    /// client what was added to its request: both end here. CONNECT is routed by its host.
    func startWithoutPath(_ exchange: ExchangeHandle, _ form: HTTP1RequestHead.TargetForm) {
        switch form {
        case .asterisk: reply(exchange, LocalReply(status: 200, fields: [HTTPProxy.allowed]))
        case .authority:
            exchanges[exchange].head.tunnel = .connect
            start(exchange)
        case .origin, .absolute: refuseMethod(exchange)
        }
    }

    /// Answers that the method is not for this resource.
    func refuseMethod(_ exchange: ExchangeHandle) {
        exchanges[exchange].responseFlags.insert(.noRoute)
        reply(exchange, LocalReply(status: 405, fields: [HTTPProxy.allowed]))
    }
}
