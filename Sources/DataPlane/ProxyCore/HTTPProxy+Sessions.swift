extension HTTPProxy {
    func closeSessions(_ handle: ConnectionHandle) {}
    func sendEncrypted(_ handle: ConnectionHandle, _ bytes: RawSpan) {}
    func receiveEncrypted(_ handle: ConnectionHandle, _ waiting: Int) -> Int? { nil }
    func beginTLS(_ handle: ConnectionHandle, _ hosts: Int32) -> Bool { false }
    func closeTLS(_ handle: ConnectionHandle) {}
    func detectProtocol(_ handle: ConnectionHandle, _ bytes: RawSpan) -> Bool {
        connections[handle].flags.remove(.detects)
        return true
    }
    func receiveHTTP2(_ handle: ConnectionHandle, _ bytes: RawSpan) {}
    func collectHTTP2(_ handle: ConnectionHandle) {}
    func drainHTTP2(_ handle: ConnectionHandle) {}
    func http2TimedOut(_ handle: ConnectionHandle) {}
    func abandonHTTP2Exchanges(_ handle: ConnectionHandle) {}
    func sendHTTP2ResponseHead(_ e: ExchangeHandle, _ h: HTTP1ResponseHead, _ b: RawSpan) {}
    func queueHTTP2Body(_ e: ExchangeHandle, _ b: RawSpan) {}
    func finishHTTP2(_ e: ExchangeHandle) {}
    func resetHTTP2(_ e: ExchangeHandle) {}
    func replyHTTP2(_ e: ExchangeHandle, _ r: LocalReply, _ b: [UInt8]) {}
    func requestBodyDrained(_ e: ExchangeHandle) {}
}
