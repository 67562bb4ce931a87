import COpenSSL

/// The bytes that OpenSSL sees on one worker: ciphertext in from what was just received, ciphertext
/// out to what is about to be sent. All sessions of a worker share it, one at a time.
@safe final class TLSTransport {
    /// Ciphertext that one call may produce: 64 KiB of plaintext with the overhead of its records,
    /// or a handshake flight with a long chain.
    static let outputByteLimit = 196_608

    private(set) var method: OpaquePointer
    let output = ScratchBuffer(capacity: TLSTransport.outputByteLimit)
    private var input: UnsafeRawPointer?
    private var inputByteCount = 0
    private var inputConsumed = 0

    /// Makes a transport; `nil` when OpenSSL has no memory.
    init?() {
        guard let method = unsafe BIO_meth_new(copenssl_read_bio_type(), "martlet") else {
            return nil
        }
        unsafe self.method = unsafe method
        unsafe BIO_meth_set_read(method, tlsTransportRead)
        unsafe BIO_meth_set_write(method, tlsTransportWrite)
        unsafe BIO_meth_set_ctrl(method, tlsTransportControl)
    }

    deinit { unsafe BIO_meth_free(method) }

    /// Makes a session's end of the transport.
    func makeBIO() -> OpaquePointer? {
        guard let bio = unsafe BIO_new(method) else { return nil }
        unsafe BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }

    /// Lends ciphertext to OpenSSL for the duration of `body`.
    ///
    /// - Returns: what `body` returned, and how much of the ciphertext was taken.
    func lending<Result>(_ bytes: RawSpan, _ body: () -> Result) -> (Result, consumed: Int) {
        unsafe bytes.withUnsafeBytes { buffer in
            unsafe input = buffer.baseAddress
            inputByteCount = buffer.count
            inputConsumed = 0
            let result = body()
            unsafe input = nil
            let consumed = inputConsumed
            inputByteCount = 0
            inputConsumed = 0
            return (result, consumed)
        }
    }

    /// Whether lent ciphertext is left.
    var hasInput: Bool { inputConsumed < inputByteCount }

    fileprivate func read(into target: UnsafeMutableRawPointer, _ byteCount: Int) -> Int {
        guard let input = unsafe input else { return 0 }
        let count = min(byteCount, inputByteCount - inputConsumed)
        unsafe target.copyMemory(from: input + inputConsumed, byteCount: count)
        inputConsumed += count
        return count
    }

    fileprivate func write(_ source: UnsafeRawPointer, _ byteCount: Int) -> Bool {
        guard output.count + byteCount <= output.capacity else { return false }
        unsafe output.append(RawSpan(_unsafeStart: source, byteCount: byteCount))
        return true
    }
}

private func transport(of bio: OpaquePointer?) -> TLSTransport? {
    guard let pointer = unsafe BIO_get_data(bio) else { return nil }
    return unsafe Unmanaged<TLSTransport>.fromOpaque(pointer).takeUnretainedValue()
}

/// `BIO_meth_set_read`: takes from the lent ciphertext.
private func tlsTransportRead(
    _ bio: OpaquePointer?,
    _ target: UnsafeMutablePointer<CChar>?,
    _ byteCount: Int32
) -> Int32 {
    guard let bio = unsafe bio, let target = unsafe target,
        let transport = unsafe transport(of: bio)
    else { return -1 }
    unsafe copenssl_clear_retry(bio)
    let count = unsafe transport.read(into: UnsafeMutableRawPointer(target), Int(byteCount))
    guard count == 0 else { return Int32(count) }
    unsafe copenssl_retry_read(bio)
    return -1
}

/// `BIO_meth_set_write`: appends to the ciphertext about to be sent.
private func tlsTransportWrite(
    _ bio: OpaquePointer?,
    _ source: UnsafePointer<CChar>?,
    _ byteCount: Int32
) -> Int32 {
    guard let bio = unsafe bio, let source = unsafe source,
        let transport = unsafe transport(of: bio)
    else { return -1 }
    unsafe copenssl_clear_retry(bio)
    guard unsafe transport.write(UnsafeRawPointer(source), Int(byteCount)) else {
        unsafe copenssl_retry_write(bio)
        return -1
    }
    return byteCount
}

/// `BIO_meth_set_ctrl`: there is nothing to flush.
private func tlsTransportControl(
    _ bio: OpaquePointer?,
    _ command: Int32,
    _ number: Int,
    _ pointer: UnsafeMutableRawPointer?
) -> Int {
    command == copenssl_bio_flush_command() ? 1 : 0
}
