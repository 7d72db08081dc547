//! The application's side: what any task may call.

use core::cell::RefCell;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::Poll;

use rserpool_core::wire::Policy;
use rserpool_core::{
    ElementInfo, ElementKey, Home, Instant, Link, PeId, PoolElement, PoolUser, RegisterError, Resolution, ResolveError,
    SelectError,
};

use super::resources::Shared;
use crate::clock;
use crate::role::Role;

/// Access to a machine that a [`Runner`](super::Runner) drives. It is `Copy`; any number of tasks of the same executor
/// can have one.
///
/// The methods that are not `async` do something at once and return. What has to be sent for it is sent by the runner,
/// which is woken. The others wait for an answer, and can be dropped while they do.
pub struct Handle<'d, M: Role> {
    shared: &'d RefCell<Shared<M>>,
}

impl<M: Role> Clone for Handle<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Role> Copy for Handle<'_, M> {}

impl<'d, M: Role> Handle<'d, M> {
    pub(super) const fn new(shared: &'d RefCell<Shared<M>>) -> Self {
        Handle { shared }
    }

    /// Calls the machine. `call` must not use a handle of the same machine.
    pub fn with<R>(&self, call: impl FnOnce(&mut M, Instant) -> R) -> R {
        let shared = &mut *self.shared.borrow_mut();
        let result = call(&mut shared.machine, clock::now());
        shared.driver.wake();
        result
    }

    /// Looks at the machine. `look` must not call this machine's [`Handle::with`].
    pub fn look<R>(&self, look: impl FnOnce(&M) -> R) -> R {
        look(&self.shared.borrow().machine)
    }

    /// Waits until `ready` gives something; it is asked now, and after each event of the machine. It must not use a
    /// handle of the same machine.
    pub async fn wait_for<R>(&self, mut ready: impl FnMut(&mut M, Instant) -> Option<R>) -> R {
        poll_fn(|cx| {
            let shared = &mut *self.shared.borrow_mut();
            match ready(&mut shared.machine, clock::now()) {
                Some(found) => {
                    shared.driver.wake();
                    Poll::Ready(found)
                }
                None => {
                    shared.waiters.register(cx.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The next event. Each goes to one task, whichever asks first. Eight wait; of more, only that they were lost is
    /// kept ([`Role::EVENTS_LOST`]). An application that needs none need not ask.
    pub async fn event(&self) -> M::Event {
        poll_fn(|cx| {
            let shared = &mut *self.shared.borrow_mut();
            match shared.events.pop() {
                Some(event) => Poll::Ready(event),
                None => {
                    shared.waiters.register(cx.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<'s> Handle<'_, PoolElement<'s>> {
    /// Adds a registrar: all addresses are its. `false`: there is no room for it, or no address.
    pub fn add_server(&self, addresses: &[SocketAddr]) -> bool {
        self.with(|element, _| element.add_server(Link::Tcp, addresses))
    }

    /// The home registrar, if there is one.
    pub fn home(&self) -> Option<Home> {
        self.look(|machine| machine.home())
    }

    /// As [`PoolElement::register`]; [`Handle::registered`] waits for the registrar's consent.
    ///
    /// # Errors
    /// Names what of `info` cannot be registered, or which limit is reached.
    pub fn register(&self, info: &ElementInfo<'_>) -> Result<ElementKey, RegisterError> {
        self.with(|element, now| element.register(now, info))
    }

    /// Waits until an element is registered, or no more an element.
    pub async fn registered(&self, element: ElementKey) {
        self.wait_for(|machine, _| (machine.is_registered(element) || machine.id(element).is_none()).then_some(()))
            .await;
    }

    /// Whether the registrar has granted an element's registration.
    pub fn is_registered(&self, element: ElementKey) -> bool {
        self.look(|machine| machine.is_registered(element))
    }

    /// An element's identifier; `None` once it is deregistered.
    pub fn id(&self, element: ElementKey) -> Option<PeId> {
        self.look(|machine| machine.id(element))
    }

    /// As [`PoolElement::set_policy`]: for example the load of [`Policy::LeastUsed`].
    ///
    /// # Errors
    /// The element is not known, or the policy does not fit.
    pub fn set_policy(&self, element: ElementKey, policy: Policy<'_>) -> Result<(), RegisterError> {
        self.with(|machine, now| machine.set_policy(now, element, policy))
    }

    /// Takes an element out of its pool, and waits until that is done: with the registrar's answer, or after
    /// MAX-REG-ATTEMPT requests without one.
    ///
    /// # Errors
    /// The element is not known.
    pub async fn deregister(&self, element: ElementKey) -> Result<(), RegisterError> {
        self.with(|machine, now| machine.deregister(now, element))?;
        self.wait_for(|machine, _| machine.id(element).is_none().then_some(())).await;
        Ok(())
    }
}

/// A pool element that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Chosen {
    /// Its identifier, for [`Handle::report_failure`].
    pub id: PeId,
    /// Where its service is: the first of its addresses.
    pub address: SocketAddr,
}

impl<'s> Handle<'_, PoolUser<'s>> {
    /// Adds a registrar: all addresses are its. `false`: there is no room for it, or no address.
    pub fn add_server(&self, addresses: &[SocketAddr]) -> bool {
        self.with(|user, _| user.add_server(Link::Tcp, addresses))
    }

    /// The home registrar, if there is one.
    pub fn home(&self) -> Option<Home> {
        self.look(|machine| machine.home())
    }

    /// As [`PoolUser::resolve`]; [`Handle::choose`] waits for the answer.
    ///
    /// # Errors
    /// The handle is unusable, or too many pools are in use.
    pub fn resolve(&self, pool_handle: &[u8]) -> Result<Resolution, ResolveError> {
        self.with(|user, now| user.resolve(now, pool_handle)).map(|(resolution, _)| resolution)
    }

    /// As [`PoolUser::subscribe`].
    ///
    /// # Errors
    /// The handle is unusable, or too many pools are in use.
    pub fn subscribe(&self, pool_handle: &[u8]) -> Result<Resolution, ResolveError> {
        self.with(|user, now| user.subscribe(now, pool_handle)).map(|(resolution, _)| resolution)
    }

    /// The element that the pool's policy chooses, anew with each call. Waits for the registrar's answer where there is
    /// none yet.
    ///
    /// # Errors
    /// Says whether to resolve again or to give up; never [`SelectError::Pending`].
    pub async fn choose(&self, resolution: Resolution) -> Result<Chosen, SelectError> {
        self.wait_for(|user, now| match user.primary(now, resolution) {
            Err(SelectError::Pending) => None,
            Err(error) => Some(Err(error)),
            Ok(element) => {
                let address = element.user_transport.socket_addrs().next();
                Some(address.map(|address| Chosen { id: element.id, address }).ok_or(SelectError::Exhausted))
            }
        })
        .await
    }

    /// Reports an element that failed. It is passed over until the registrar names it again.
    pub fn report_failure(&self, resolution: Resolution, failed: PeId) {
        self.with(|user, now| user.report_failure(now, resolution, failed));
    }
}
