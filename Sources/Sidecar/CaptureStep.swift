/// The steps by which a pod is taken and let go, each told when it is done. An agent may die between
/// any two of them: whoever comes next finds out from the kernel and from `CaptureRecord` where it
/// stood.
package enum CaptureStep: String, CaseIterable, Sendable {
    // Taking a pod.
    /// The namespace is the pod's own, and nobody else captures it.
    case namespaceChecked
    /// The namespace is noted for those who come after this agent.
    case recorded
    /// One rule or route of the return path is in place; told four times.
    case returnPathPartSet
    /// One listening socket accepts; told four times.
    case listenerOpened
    /// Changes to rules and routes are heard.
    case watched
    /// The table is in the kernel.
    case rulesApplied
    /// Everything was read back: the pod is captured.
    case proven

    // Letting it go.
    /// The table takes nothing new.
    case rulesLetGo
    /// The last captured connection ended, or its time was up.
    case connectionsEnded
    /// The table is gone.
    case rulesRemoved
    /// Nothing listens any more.
    case listenersClosed
    /// One rule or route of the return path is gone; told four times.
    case returnPathPartRemoved
    /// The namespace is no longer noted.
    case forgotten
}
