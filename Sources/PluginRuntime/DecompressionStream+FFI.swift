import CBrotli
import CZlib
import CZstd
import DataPlane

/// Decompresses one body by the coding's own library, piece by piece, and never makes more of it
/// than it is allowed.
@safe final class DecompressionStream {
    /// What came of a piece.
    enum Outcome: Equatable {
        case bytes([UInt8])
        /// The body is not what its coding says.
        case invalid
        /// It would become longer than allowed.
        case tooLong
    }

    @unsafe private enum Decoder {
        case gzip(UnsafeMutablePointer<z_stream>)
        case brotli(OpaquePointer)
        case zstd(OpaquePointer)
    }

    /// What one turn of a library did.
    private enum Step {
        case wantsInput
        case hasOutput
        case ended
        case failed
    }

    private static let outputByteCount = 65_536
    /// The largest window of a frame of zstd, as RFC 9659 has it for HTTP: 8 MiB.
    private static let zstdWindowBits: Int32 = 23

    private let decoder: Decoder
    /// Whether the coding's own end has been read, so that the body may end.
    private(set) var isEnded = false

    /// Begins a body; `nil` when the library has no memory.
    init?(_ coding: ContentCoding) {
        switch coding {
        case .gzip:
            let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
            unsafe stream.initialize(to: z_stream())
            let result = unsafe inflateInit2_(
                stream,
                MAX_WBITS + 16,
                ZLIB_VERSION,
                Int32(MemoryLayout<z_stream>.size)
            )
            guard result == Z_OK else {
                unsafe stream.deallocate()
                return nil
            }
            unsafe decoder = .gzip(stream)
        case .brotli:
            guard let state = unsafe BrotliDecoderCreateInstance(nil, nil, nil) else { return nil }
            unsafe decoder = .brotli(state)
        case .zstd:
            guard let context = unsafe ZSTD_createDCtx() else { return nil }
            unsafe ZSTD_DCtx_setParameter(
                context,
                ZSTD_d_windowLogMax,
                DecompressionStream.zstdWindowBits
            )
            unsafe decoder = .zstd(context)
        }
    }

    deinit {
        switch unsafe decoder {
        case .gzip(let stream):
            unsafe inflateEnd(stream)
            unsafe stream.deallocate()
        case .brotli(let state): unsafe BrotliDecoderDestroyInstance(state)
        case .zstd(let context): unsafe ZSTD_freeDCtx(context)
        }
    }

    /// Decompresses a piece into `byteLimit` bytes at most.
    func write(_ bytes: RawSpan, byteLimit: Int) -> Outcome {
        var output: [UInt8] = []
        var at = 0
        while true {
            let (chunk, consumed, step) = turn(bytes.extracting(at..<bytes.byteCount))
            at += consumed
            output += chunk
            guard output.count <= byteLimit else { return .tooLong }
            switch step {
            case .failed: return .invalid
            case .hasOutput: continue
            case .wantsInput: return .bytes(output)
            case .ended:
                isEnded = true
                guard at < bytes.byteCount else { return .bytes(output) }
                guard beginsAgain() else { return .invalid }
            }
        }
    }

    /// One body may be several members or frames one after the other (RFC 1952 section 2.2, RFC 8878
    /// section 3.1).
    private func beginsAgain() -> Bool {
        switch unsafe decoder {
        case .gzip(let stream): return unsafe inflateReset(stream) == Z_OK
        case .brotli: return false
        case .zstd: return true
        }
    }

    private func turn(_ bytes: RawSpan) -> ([UInt8], consumed: Int, Step) {
        var consumed = 0
        var step = Step.failed
        if bytes.byteCount > 0 { isEnded = false }
        let chunk = unsafe bytes.withUnsafeBytes { input in
            unsafe [UInt8](unsafeUninitializedCapacity: DecompressionStream.outputByteCount) {
                room,
                count in
                switch unsafe decoder {
                case .gzip(let stream):
                    (consumed, count, step) = unsafe DecompressionStream.inflate(
                        stream,
                        input,
                        room
                    )
                case .brotli(let state):
                    (consumed, count, step) = unsafe DecompressionStream.brotli(state, input, room)
                case .zstd(let context):
                    (consumed, count, step) = unsafe DecompressionStream.zstd(context, input, room)
                }
            }
        }
        return (chunk, consumed, step)
    }

    private static func inflate(
        _ stream: UnsafeMutablePointer<z_stream>,
        _ input: UnsafeRawBufferPointer,
        _ room: UnsafeMutableBufferPointer<UInt8>
    ) -> (Int, Int, Step) {
        let source = unsafe input.bindMemory(to: UInt8.self).baseAddress
        unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: source)
        unsafe stream.pointee.avail_in = UInt32(input.count)
        unsafe stream.pointee.next_out = room.baseAddress
        unsafe stream.pointee.avail_out = UInt32(room.count)
        let result = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
        let consumed = unsafe input.count - Int(stream.pointee.avail_in)
        let count = unsafe room.count - Int(stream.pointee.avail_out)
        switch result {
        case Z_STREAM_END: return (consumed, count, .ended)
        case Z_OK, Z_BUF_ERROR:
            return (consumed, count, count == room.count ? .hasOutput : .wantsInput)
        default: return (consumed, count, .failed)
        }
    }

    private static func brotli(
        _ state: OpaquePointer,
        _ input: UnsafeRawBufferPointer,
        _ room: UnsafeMutableBufferPointer<UInt8>
    ) -> (Int, Int, Step) {
        var left = input.count
        var next = unsafe input.bindMemory(to: UInt8.self).baseAddress
        var roomLeft = room.count
        var target = room.baseAddress
        let result = unsafe BrotliDecoderDecompressStream(
            state,
            &left,
            &next,
            &roomLeft,
            &target,
            nil
        )
        let (consumed, count) = (input.count - left, room.count - roomLeft)
        switch result {
        case BROTLI_DECODER_RESULT_SUCCESS: return (consumed, count, .ended)
        case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT: return (consumed, count, .wantsInput)
        case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT: return (consumed, count, .hasOutput)
        default: return (consumed, count, .failed)
        }
    }

    private static func zstd(
        _ context: OpaquePointer,
        _ input: UnsafeRawBufferPointer,
        _ room: UnsafeMutableBufferPointer<UInt8>
    ) -> (Int, Int, Step) {
        var source = unsafe ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = unsafe ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
        let result = unsafe ZSTD_decompressStream(context, &target, &source)
        let (consumed, count) = unsafe (source.pos, target.pos)
        if ZSTD_isError(result) != 0 { return (consumed, count, .failed) }
        if result == 0 { return (consumed, count, .ended) }
        return (consumed, count, count == room.count ? .hasOutput : .wantsInput)
    }
}
