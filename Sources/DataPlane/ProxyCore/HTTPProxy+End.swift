/// The end of the process: what did not end by itself is cut, and told.
extension HTTPProxy {
    /// Cuts what clients have left after the drain, tunnels among it, each with its line in the log
    /// and its span, and hands over all text that waits.
    package func end() {
        for index in 0..<connections.endIndex {
            guard let handle = connections.handle(at: index),
                connections[handle].role == .downstream
            else { continue }
            if connections[handle].flags.contains(.http2) {
                abandonHTTP2Exchanges(handle, .overflow)
            }
            let exchange = connections[handle].exchange
            if exchanges.contains(exchange) { abandon(exchange, .overflow) }
            close(handle)
        }
        accessLog.handOver()
        tracing?.spans.handOver()
    }
}
