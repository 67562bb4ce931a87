import CFuzzer

/// Hands the process to libFuzzer with one target: `MartletFuzz TARGET [libFuzzer's arguments]`.
@main enum MartletFuzz {
    // SAFETY: written once before the fuzzer starts, read on its one thread.
    nonisolated(unsafe) fileprivate static var target = FuzzTarget.http1Request

    static func main() {
        guard CommandLine.arguments.count > 1,
            let target = FuzzTarget(rawValue: CommandLine.arguments[1])
        else {
            for target in FuzzTarget.allCases { print(target.rawValue) }
            return
        }
        unsafe MartletFuzz.target = target
        var argumentCount = CommandLine.argc - 1
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? =
            unsafe CommandLine.unsafeArgv + 1
        _ = unsafe LLVMFuzzerRunDriver(&argumentCount, &arguments, fuzzOneInput)
    }
}

/// libFuzzer's callback: copies the input and forwards it.
private func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
    unsafe MartletFuzz.target.run(bytes)
    return 0
}
