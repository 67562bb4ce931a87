/// The value of `grpc-timeout` (PROTOCOL-HTTP2.md of the gRPC project): up to eight digits and a
/// unit.
enum GRPCTimeout {
    /// Reads a value.
    ///
    /// - Returns: nanoseconds; `nil` for what is no timeout.
    static func nanoseconds(_ value: RawSpan) -> UInt64? {
        guard (2...9).contains(value.byteCount) else { return nil }
        var number: UInt64 = 0
        for offset in 0..<(value.byteCount - 1) {
            let digit = value.byte(at: offset) &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            number = number * 10 + UInt64(digit)
        }
        switch value.byte(at: value.byteCount - 1) {
        case UInt8(ascii: "H"): return number * 3_600_000_000_000
        case UInt8(ascii: "M"): return number * 60_000_000_000
        case UInt8(ascii: "S"): return number * 1_000_000_000
        case UInt8(ascii: "m"): return number * 1_000_000
        case UInt8(ascii: "u"): return number * 1_000
        case UInt8(ascii: "n"): return number
        default: return nil
        }
    }
}

extension HTTPProxy {
    private static let timeoutName = "grpc-timeout"

    /// Lets a client's deadline bound its request where it is nearer than the route's.
    @inline(never)
    func takeDeadline(_ exchange: ExchangeHandle) {
        let bytes = headBytes(exchange)
        let fields = headFields(exchange)
        for index in fields.indices where fields[index].nameLength == 12 {
            let isNamed = HTTPProxy.timeoutName.withBytes { name in
                fields[index].isNamed(.other, name, in: bytes)
            }
            guard isNamed else { continue }
            let value = bytes.extracting(fields[index].valueRange)
            guard let time = GRPCTimeout.nanoseconds(value) else { return }
            let own = exchanges[exchange].action.requestTimeoutNanoseconds
            guard own == 0 || time < own else { return }
            exchanges[exchange].action.requestTimeoutNanoseconds = max(time, 1)
            exchangeTimers.set(exchange.index, loop.nowNanoseconds &+ max(time, 1))
            return
        }
    }
}
