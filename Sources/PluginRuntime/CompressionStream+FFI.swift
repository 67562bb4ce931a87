import CBrotli
import CZlib
import CZstd
import DataPlane

/// Compresses one body by the coding's own library, piece by piece.
@safe final class CompressionStream {
    @unsafe private enum Encoder {
        case gzip(UnsafeMutablePointer<z_stream>)
        case brotli(OpaquePointer)
        case zstd(OpaquePointer)
    }

    /// Levels that keep a worker's turn short.
    private static let gzipLevel: Int32 = 5
    private static let brotliQuality: UInt32 = 4
    private static let brotliWindowBits: UInt32 = 19
    private static let zstdLevel: Int32 = 3
    private static let outputByteCount = 65_536

    /// What is to become of what a library still holds.
    private enum Operation {
        case goOn
        case flush
        case finish
    }

    private let encoder: Encoder

    /// Begins a body; `nil` when the library has no memory.
    init?(_ coding: ContentCoding) {
        switch coding {
        case .gzip:
            let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
            unsafe stream.initialize(to: z_stream())
            let result = unsafe deflateInit2_(
                stream,
                CompressionStream.gzipLevel,
                Z_DEFLATED,
                MAX_WBITS + 16,
                8,
                Z_DEFAULT_STRATEGY,
                ZLIB_VERSION,
                Int32(MemoryLayout<z_stream>.size)
            )
            guard result == Z_OK else {
                unsafe stream.deallocate()
                return nil
            }
            unsafe encoder = .gzip(stream)
        case .brotli:
            guard let state = unsafe BrotliEncoderCreateInstance(nil, nil, nil) else { return nil }
            unsafe BrotliEncoderSetParameter(
                state,
                BROTLI_PARAM_QUALITY,
                CompressionStream.brotliQuality
            )
            unsafe BrotliEncoderSetParameter(
                state,
                BROTLI_PARAM_LGWIN,
                CompressionStream.brotliWindowBits
            )
            unsafe encoder = .brotli(state)
        case .zstd:
            guard let context = unsafe ZSTD_createCCtx() else { return nil }
            unsafe ZSTD_CCtx_setParameter(
                context,
                ZSTD_c_compressionLevel,
                CompressionStream.zstdLevel
            )
            unsafe encoder = .zstd(context)
        }
    }

    deinit {
        switch unsafe encoder {
        case .gzip(let stream):
            unsafe deflateEnd(stream)
            unsafe stream.deallocate()
        case .brotli(let state): unsafe BrotliEncoderDestroyInstance(state)
        case .zstd(let context): unsafe ZSTD_freeCCtx(context)
        }
    }

    /// Compresses a piece.
    ///
    /// - Parameters:
    ///   - flushes: whether all of it is to come out now.
    ///   - ends: whether the body ends with it.
    /// - Returns: what came out; `nil` when the library failed.
    func write(_ bytes: RawSpan, flushes: Bool, ends: Bool) -> [UInt8]? {
        let operation: Operation = ends ? .finish : flushes ? .flush : .goOn
        return unsafe bytes.withUnsafeBytes { input in
            switch unsafe encoder {
            case .gzip(let stream): unsafe CompressionStream.deflate(stream, input, operation)
            case .brotli(let state): unsafe CompressionStream.brotli(state, input, operation)
            case .zstd(let context): unsafe CompressionStream.zstd(context, input, operation)
            }
        }
    }

    private static func deflate(
        _ stream: UnsafeMutablePointer<z_stream>,
        _ input: UnsafeRawBufferPointer,
        _ operation: Operation
    ) -> [UInt8]? {
        let flush =
            switch operation {
            case .goOn: Z_NO_FLUSH
            case .flush: Z_SYNC_FLUSH
            case .finish: Z_FINISH
            }
        var output: [UInt8] = []
        let source = unsafe input.bindMemory(to: UInt8.self).baseAddress
        unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: source)
        unsafe stream.pointee.avail_in = UInt32(input.count)
        while true {
            var result = Z_OK
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: outputByteCount) {
                room,
                count in
                unsafe stream.pointee.next_out = room.baseAddress
                unsafe stream.pointee.avail_out = UInt32(room.count)
                result = unsafe CZlib.deflate(stream, flush)
                count = unsafe room.count - Int(stream.pointee.avail_out)
            }
            output += chunk
            guard result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR else {
                return nil
            }
            if result == Z_STREAM_END || chunk.count < outputByteCount { return output }
        }
    }

    private static func brotli(
        _ state: OpaquePointer,
        _ input: UnsafeRawBufferPointer,
        _ operation: Operation
    ) -> [UInt8]? {
        let wanted =
            switch operation {
            case .goOn: BROTLI_OPERATION_PROCESS
            case .flush: BROTLI_OPERATION_FLUSH
            case .finish: BROTLI_OPERATION_FINISH
            }
        var output: [UInt8] = []
        var left = input.count
        var next = unsafe input.bindMemory(to: UInt8.self).baseAddress
        while true {
            var isFine: Int32 = 1
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: outputByteCount) {
                room,
                count in
                var roomLeft = room.count
                var target = room.baseAddress
                isFine = unsafe BrotliEncoderCompressStream(
                    state,
                    wanted,
                    &left,
                    &next,
                    &roomLeft,
                    &target,
                    nil
                )
                count = room.count - roomLeft
            }
            output += chunk
            guard isFine != 0 else { return nil }
            if left == 0, unsafe BrotliEncoderHasMoreOutput(state) == 0 { return output }
        }
    }

    private static func zstd(
        _ context: OpaquePointer,
        _ input: UnsafeRawBufferPointer,
        _ operation: Operation
    ) -> [UInt8]? {
        let wanted =
            switch operation {
            case .goOn: ZSTD_e_continue
            case .flush: ZSTD_e_flush
            case .finish: ZSTD_e_end
            }
        var output: [UInt8] = []
        var source = unsafe ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        while true {
            var left = 0
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: outputByteCount) {
                room,
                count in
                var target = unsafe ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
                left = unsafe ZSTD_compressStream2(context, &target, &source, wanted)
                count = unsafe target.pos
            }
            output += chunk
            guard ZSTD_isError(left) == 0 else { return nil }
            let isDone = unsafe operation == .goOn ? source.pos == source.size : left == 0
            if isDone { return output }
        }
    }
}
