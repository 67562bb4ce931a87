/// What the next bytes of a chunked body are. Offsets count from the start of the input.
package enum ChunkStep: Sendable, Equatable {
    /// Payload; what stands before it was framing.
    case data(Range<Int>)
    /// All input was framing, `consumed` bytes of it are done with.
    case needMore(consumed: Int)
    /// The body ended after `consumed` bytes.
    case end(consumed: Int)
    /// The framing is broken.
    case fault(HTTP1Fault)
}

/// Reads a chunked body (RFC 9112 section 7.1). Extensions are checked, bounded and dropped;
/// trailers are checked and bounded, and their bytes are told from framing by `trailerByteCount`.
package struct ChunkedDecoder: BitwiseCopyable, Sendable {
    /// Bytes of one chunk's extensions.
    package static let extensionByteLimit = 1_024
    /// Bytes of all trailers.
    package static let trailerByteLimit = 8_192

    private enum State: UInt8, BitwiseCopyable {
        case sizeStart, size, sizeSpace, extensions, sizeLineFeed
        case data, dataReturn, dataLineFeed
        case trailerStart, trailerName, trailerValue, trailerLineFeed, endLineFeed, done
    }

    private var state = State.sizeStart
    private var remaining: UInt64 = 0
    private var digitCount: UInt8 = 0
    private var lineByteCount: Int32 = 0

    /// Begins a body.
    package init() {}

    /// Bytes of the trailer section that were taken so far, its final line feed not counted: they
    /// are the last ones consumed. 1 for a section without trailers, 0 before it began.
    package var trailerByteCount: Int {
        state.rawValue >= State.trailerStart.rawValue ? Int(lineByteCount) : 0
    }

    /// Takes the next step over bytes that have arrived. After `data` the caller goes on with what
    /// follows the range.
    package mutating func next(_ input: RawSpan) -> ChunkStep {
        var at = 0
        while at < input.byteCount {
            if state == .data {
                let count = Int(min(remaining, UInt64(input.byteCount - at)))
                remaining -= UInt64(count)
                if remaining == 0 { state = .dataReturn }
                return .data(at..<(at + count))
            }
            if let fault = take(input.byte(at: at)) { return .fault(fault) }
            at += 1
            if state == .done { return .end(consumed: at) }
        }
        return state == .done ? .end(consumed: at) : .needMore(consumed: at)
    }

    private mutating func take(_ byte: UInt8) -> HTTP1Fault? {
        switch state {
        case .sizeStart, .size, .sizeSpace: return takeSize(byte)
        case .extensions: return takeExtension(byte)
        case .sizeLineFeed:
            guard byte == UInt8(ascii: "\n") else { return .chunkSizeInvalid }
            state = remaining == 0 ? .trailerStart : .data
            lineByteCount = 0
        case .dataReturn:
            guard byte == UInt8(ascii: "\r") else { return .chunkEndInvalid }
            state = .dataLineFeed
        case .dataLineFeed:
            guard byte == UInt8(ascii: "\n") else { return .chunkEndInvalid }
            state = .sizeStart
        case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed:
            return takeTrailer(byte)
        case .endLineFeed:
            guard byte == UInt8(ascii: "\n") else { return .trailerInvalid }
            state = .done
        case .data, .done: break
        }
        return nil
    }

    private mutating func takeSize(_ byte: UInt8) -> HTTP1Fault? {
        if state != .sizeSpace, let digit = ChunkedDecoder.hexadecimal(byte) {
            if state == .sizeStart {
                state = .size
                remaining = 0
                digitCount = 0
            }
            digitCount += 1
            guard digitCount <= 16, remaining >> 59 == 0 else { return .chunkSizeInvalid }
            remaining = remaining << 4 | UInt64(digit)
            return nil
        }
        guard state != .sizeStart else { return .chunkSizeInvalid }
        switch byte {
        case UInt8(ascii: "\r"): state = .sizeLineFeed
        case UInt8(ascii: ";"):
            state = .extensions
            lineByteCount = 0
        case UInt8(ascii: " "), UInt8(ascii: "\t"):
            state = .sizeSpace
            lineByteCount += 1
            guard lineByteCount <= 16 else { return .chunkSizeInvalid }
        default: return .chunkSizeInvalid
        }
        return nil
    }

    private mutating func takeExtension(_ byte: UInt8) -> HTTP1Fault? {
        if byte == UInt8(ascii: "\r") {
            state = .sizeLineFeed
            return nil
        }
        lineByteCount += 1
        guard ByteScan.isValue(byte) else { return .chunkExtensionInvalid }
        guard Int(lineByteCount) <= ChunkedDecoder.extensionByteLimit else {
            return .chunkExtensionTooLong
        }
        return nil
    }

    private mutating func takeTrailer(_ byte: UInt8) -> HTTP1Fault? {
        lineByteCount += 1
        guard Int(lineByteCount) <= ChunkedDecoder.trailerByteLimit else {
            return .trailersTooLarge
        }
        switch state {
        case .trailerStart:
            if byte == UInt8(ascii: "\r") {
                state = .endLineFeed
                return nil
            }
            guard ByteScan.isToken(byte) else { return .trailerInvalid }
            state = .trailerName
        case .trailerName:
            if byte == UInt8(ascii: ":") {
                state = .trailerValue
                return nil
            }
            guard ByteScan.isToken(byte) else { return .trailerInvalid }
        case .trailerValue:
            if byte == UInt8(ascii: "\r") {
                state = .trailerLineFeed
                return nil
            }
            guard ByteScan.isValue(byte) else { return .trailerInvalid }
        default:
            guard byte == UInt8(ascii: "\n") else { return .trailerInvalid }
            state = .trailerStart
        }
        return nil
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
