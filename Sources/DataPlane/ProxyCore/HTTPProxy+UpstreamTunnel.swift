import MeshModel

/// WebSocket on streams of connections to endpoints (RFC 8441).
extension HTTPProxy {
    /// The transport of a request for a tunnel: endpoints that were found to take none over HTTP/2
    /// are asked by HTTP/1.1.
    func tunnelTransport(_ number: Int32) -> Int32 {
        guard http1Tunnels.contains(number), let other = transports[number]?.forTunnels else {
            return number
        }
        return other.number
    }

    /// The endpoint's settings allow no tunnel: the request goes by HTTP/1.1 where that can be agreed
    /// on, and is answered here where it cannot.
    func refuseTunnel(_ exchange: ExchangeHandle, _ streams: UpstreamStreams) {
        counters.count(.upstreamTunnelRefusals)
        guard streams.transport.forTunnels != nil else {
            exchanges[exchange].responseFlags.insert(.upstreamProtocolError)
            let text = "the endpoint takes no WebSocket over HTTP/2\n"
            reply(exchange, LocalReply(status: 502, body: Array(text.utf8)))
            return
        }
        http1Tunnels.insert(streams.transport.number)
        _ = unbind(exchange)
        exchanges[exchange].tries -= 1
        moveStream(exchange, ByteQueue(), isEnded: false, after: nil)
    }

    /// The endpoint agrees: tells the client, and passes bytes from here on.
    func beginStreamTunnel(
        _ upstream: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        exchanges[exchange].upstreamHeadNanoseconds = loop.nowNanoseconds
        if exchanges[exchange].flags.contains(.tracked) { endpointAnswered(exchange, upstream) }
        var accepted = head
        accepted.fieldCount = keepStreamFields(head.fieldCount, bytes)
        if exchanges[exchange].stream != 0 {
            exchanges[exchange].status = 200
            accepted.framing = .untilClose
            sendHTTP2ResponseHead(exchange, accepted, bytes)
        } else {
            exchanges[exchange].status = 101
            sendSwitch(exchange, accepted, bytes, accepting: webSocketAccept(exchange))
        }
        openTunnel(exchange, upstream)
    }

    private func webSocketAccept(_ exchange: ExchangeHandle) -> [UInt8] {
        let bytes = headBytes(exchange)
        let fields = headFields(exchange)
        for index in fields.indices where fields[index].isNamed("sec-websocket-key", in: bytes) {
            return WebSocketAccept.value(bytes.extracting(fields[index].valueRange))
        }
        return []
    }

    /// Ends the client's direction towards the endpoint, behind what waits to be sent.
    func endTunnelStream(_ exchange: ExchangeHandle) {
        let row = Int(exchanges[exchange].upstreamStream - 1)
        guard let streams = streams(exchanges[exchange].upstream), !streams[row].isEnded else {
            return
        }
        endUpstreamBody(exchange)
    }
}
