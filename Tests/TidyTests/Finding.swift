/// One breach of the style page, written as `path:line: reason`.
struct Finding: CustomStringConvertible, Equatable {
    let path: String
    /// From 1.
    let line: Int
    let reason: String

    var description: String { "\(path):\(line): \(reason)" }
}
