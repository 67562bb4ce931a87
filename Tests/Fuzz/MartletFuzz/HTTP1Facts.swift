import DataPlane

/// Facts about heads: what is accepted lies inside the input, and a cut input is never accepted as
/// something else than the whole.
enum HTTP1Facts {
    private static let limits = HeadLimits(
        startLineByteLimit: 512,
        fieldLineByteLimit: 512,
        headByteLimit: 2_048,
        fieldCountMax: 32
    )

    private enum Outcome: Equatable {
        case needMore
        case fault(HTTP1Fault)
        case head(byteCount: Int, fieldCount: Int)
    }

    static func checkRequest(_ bytes: [UInt8]) { check(bytes, request) }

    static func checkResponse(_ bytes: [UInt8]) { check(bytes, response) }

    private static func check(_ bytes: [UInt8], _ parse: (ArraySlice<UInt8>) -> Outcome) {
        let whole = parse(bytes[...])
        if case .head(let byteCount, let fieldCount) = whole {
            precondition(byteCount > 0 && byteCount <= bytes.count, "a head past its input")
            precondition(byteCount <= limits.headByteLimit, "a head past its limit")
            precondition(fieldCount <= limits.fieldCountMax, "more fields than allowed")
            precondition(parse(bytes[..<byteCount]) == whole, "what follows a head changes it")
        }
        guard bytes.count <= 256 else { return }
        for count in 0..<bytes.count {
            switch parse(bytes[..<count]) {
            case .needMore: continue
            case .fault:
                guard case .fault = whole else { preconditionFailure("a fault that healed") }
                return
            case .head(let byteCount, _):
                precondition(byteCount <= count, "a head before its end came")
                precondition(parse(bytes[..<count]) == whole, "a head that changed")
                return
            }
        }
    }

    private static func request(_ bytes: ArraySlice<UInt8>) -> Outcome {
        var fields = [HeaderField](repeating: HeaderField(), count: limits.fieldCountMax)
        let input = Array(bytes)
        var table = fields.mutableSpan
        switch unsafe HTTP1Head.parseRequest(input.span.bytes, into: &table, limits: limits) {
        case .needMore: return .needMore
        case .fault(let fault): return .fault(fault)
        case .head(let head):
            return .head(byteCount: Int(head.headByteCount), fieldCount: Int(head.fieldCount))
        }
    }

    private static func response(_ bytes: ArraySlice<UInt8>) -> Outcome {
        var fields = [HeaderField](repeating: HeaderField(), count: limits.fieldCountMax)
        let input = Array(bytes)
        var table = fields.mutableSpan
        switch unsafe HTTP1Head.parseResponse(
            input.span.bytes,
            requestIsHead: false,
            into: &table,
            limits: limits
        ) {
        case .needMore: return .needMore
        case .fault(let fault): return .fault(fault)
        case .head(let head):
            return .head(byteCount: Int(head.headByteCount), fieldCount: Int(head.fieldCount))
        }
    }
}
