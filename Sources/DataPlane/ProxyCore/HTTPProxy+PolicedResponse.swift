/// Responses that policies or filters have a say in.
extension HTTPProxy {
    /// Lets policies and filters have a response that begins.
    ///
    /// - Returns: whether it goes on to the client from here.
    @inline(never)
    func beginPolicedResponse(
        _ handle: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan,
        at start: Int
    ) -> Bool {
        if !exchanges[exchange].flags.isDisjoint(with: [.ruled, .hedge]) {
            guard !exchanges[exchange].flags.contains(.hedge) else {
                adoptHedge(handle, exchange, head, bytes, at: start)
                return false
            }
            if head.status == 425, annexes[exchanges[exchange].annex].isEarly {
                askAgain(exchange)
                return false
            }
            guard admitsResponse(handle, exchange, head, bytes) else { return false }
        }
        guard exchanges[exchange].flags.contains(.filtersResponse) else { return true }
        filterResponse(handle, exchange, head, bytes)
        return false
    }
}
