/// What the configuration in force would do with a request.
extension EngineAssembler {
    /// Asks the first worker's tables what becomes of a request at an entry point.
    ///
    /// - Parameter head: the request as HTTP/1.1 would carry it.
    /// - Returns: `nil` where there is no such entry point.
    package func find(_ head: [UInt8], at entry: String) async -> RequestFinding? {
        guard let slot = entrySlot(entry) else { return nil }
        let probe = RequestProbe(entry: slot, head: head)
        let answers = await pool.perform { worker in
            worker.number == 0 ? worker.proxy.find(probe) : nil
        }
        return answers.compactMap { $0 ?? nil }.first
    }

    /// An entry point as the parts described it.
    package func entry(_ name: String) -> EngineContribution.Entry? {
        contributions.values.compactMap { $0.entries[name] }.first
    }
}
