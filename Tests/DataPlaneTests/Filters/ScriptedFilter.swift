import DataPlane

/// What several filters were called for, in order.
final class FilterRecord {
    var calls: [String] = []
    var tokens: [FilterToken] = []
}

/// A filter that writes down each call and does in each phase what it is told to.
final class ScriptedFilter: Filter {
    enum Phase: String, CaseIterable, CustomStringConvertible {
        case requestHeaders, requestData, requestTrailers, request
        case responseHeaders, responseData, responseTrailers, response
        case log

        var description: String { rawValue }

        /// Those that every request and response with body and trailers passes.
        static let streamed: [Phase] = [
            .requestHeaders, .requestData, .requestTrailers, .responseHeaders, .responseData,
            .responseTrailers,
        ]

        var isWhole: Bool { self == .request || self == .response }

        var isOfResponse: Bool { rawValue.hasPrefix("response") }
    }

    typealias Step = (FilterContext) -> FilterAction

    private let record: FilterRecord
    var steps: [Phase: Step] = [:]
    /// What the next call of a phase throws.
    var errors: [Phase: FilterError] = [:]
    var bodies: [Phase: [UInt8]] = [:]

    init(_ name: String, _ record: FilterRecord, _ phases: FilterPhases = .every) {
        self.record = record
        super.init(name: name, phases: phases)
    }

    private func run(
        _ phase: Phase,
        _ context: FilterContext,
        _ note: String = ""
    ) throws(FilterError) -> FilterAction {
        record.calls.append("\(name).\(phase)\(note)")
        if let error = errors.removeValue(forKey: phase) { throw error }
        guard let step = steps[phase] else { return .proceed }
        return step(context)
    }

    private func text(_ bytes: RawSpan, _ endStream: Bool) -> String {
        "(" + String(decodingBytes: bytes) + (endStream ? "|" : "") + ")"
    }

    override func requestHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        try run(.requestHeaders, context, endStream ? "|" : "")
    }

    override func requestData(
        _ context: FilterContext,
        _ bytes: RawSpan,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        bodies[.requestData, default: []].append(copying: bytes)
        return try run(.requestData, context, text(bytes, endStream))
    }

    override func requestTrailers(
        _ context: FilterContext
    ) throws(FilterError) -> FilterAction { try run(.requestTrailers, context) }

    override func request(
        _ context: FilterContext,
        body: [UInt8]
    ) throws(FilterError) -> FilterAction {
        bodies[.request] = body
        return try run(.request, context, "(\(String(decoding: body, as: UTF8.self)))")
    }

    override func responseHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        try run(.responseHeaders, context, endStream ? "|" : "")
    }

    override func responseData(
        _ context: FilterContext,
        _ bytes: RawSpan,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        bodies[.responseData, default: []].append(copying: bytes)
        return try run(.responseData, context, text(bytes, endStream))
    }

    override func responseTrailers(
        _ context: FilterContext
    ) throws(FilterError) -> FilterAction { try run(.responseTrailers, context) }

    override func response(
        _ context: FilterContext,
        body: [UInt8]
    ) throws(FilterError) -> FilterAction {
        bodies[.response] = body
        return try run(.response, context, "(\(String(decoding: body, as: UTF8.self)))")
    }

    override func log(_ context: FilterContext) { record.calls.append("\(name).log") }
}

extension FilterPhases {
    /// All of them.
    static let every = FilterPhases(rawValue: (1 << 9) - 1)
    /// All that stream.
    static let streamed: FilterPhases = [
        .requestHeaders, .requestData, .requestTrailers, .responseHeaders, .responseData,
        .responseTrailers, .log,
    ]
}

/// A request and a response with a body in chunks and trailers.
enum ChunkedMessages {
    static let request =
        "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
        + "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"
    static let response =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        + "3\r\nxyz\r\n0\r\ny-sum: 2\r\n\r\n"
    static let requestContent = "abc|x-sum: 1"
    static let responseContent = "xyz|y-sum: 2"

    /// Body and trailers of the last message of a text, however its chunks are cut; what is not
    /// whole has no bar.
    static func content(_ text: String) -> String {
        let lines = text.replacing("\r\n", with: "\n").split(
            separator: "\n",
            omittingEmptySubsequences: false
        )
        guard let head = lines.lastIndex(where: { $0.hasPrefix("transfer-encoding") }),
            let start = lines[head...].firstIndex(of: "")
        else { return "" }
        var body = ""
        var index = start + 1
        while index + 1 < lines.count, let size = Int(lines[index], radix: 16), size > 0 {
            body += lines[index + 1]
            index += 2
        }
        guard index < lines.count, lines[index] == "0" else { return body }
        let trailers = lines[(index + 1)...]
        guard trailers.count >= 2, trailers.suffix(2) == ["", ""] else { return body }
        return body + "|" + trailers.dropLast(2).joined(separator: ",")
    }
}
