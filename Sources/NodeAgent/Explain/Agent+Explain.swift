import DataPlane
import MeshModel

extension Agent {
    /// The document of `/explain?request=`.
    func explanation(of question: RequestQuestion) async -> String {
        let snapshot = snapshot.withLock(\.self)
        let name = RequestExplanation.entryName(question, snapshot)
        var entry: EngineContribution.Entry?
        var finding: RequestFinding?
        if let name {
            entry = await assembler.entry(name)
            finding = await assembler.find(question.head, at: name)
        }
        return RequestExplanation(
            question: question,
            snapshot: snapshot,
            entryName: name,
            entry: entry,
            finding: finding,
            listenerNames: await assembler.slotNames.listeners
        ).text
    }
}
